from __future__ import annotations

import contextlib
import importlib
import os
import signal
import time
from collections import deque
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import records

from experiments import launchers, record
from experiments.devices.signals import STOP_SIGNALS
from experiments.launchers.local import Local
from experiments.record import RunSummary, Status, StudyPart
from experiments.runs.claim import Owner
from experiments.runs.job import Event
from experiments.sweep.sweep import Sweep, ready, run_sweep, train
from scaling.common.errors import UserError
from scaling.common.files import read_json

if find_spec("ray") is None:
    pytest.skip("the extra 'ray' is not installed", allow_module_level=True)
launcher = importlib.import_module("experiments.launchers.ray")  # first of all: it quiets Ray
tasks_of = importlib.import_module("experiments.launchers._ray_tasks")
ray = launcher.ray

# An instance is started by a fork, which is of another program at once, and not of JAX
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")

SETTLED = 3.0  # seconds in which Ray starts a task that has its resources
HALF = {"num_cpus": 0.5}  # so that one core is two places
# long enough to be caught in the act, and to end; and too long to end by itself here
SOME, LONG = (
    [f"budget.tokens={64 * steps}", "data.epochs=400", "execution.checkpoint_seconds=0.2"]
    for steps in (1600, 100_000)
)


@pytest.fixture
def bound(swept) -> Sweep:
    """Three runs, one of which diverges; two local workers have trained them."""
    return swept[0]


@pytest.fixture(scope="module")
def here():
    """Two places on an instance of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks_of, "LOOK", 0.05)
        yield launcher.Ray(2, launcher.LOCAL, HALF)
    ray.shutdown()


def one(bound: Sweep, folder: Path, *assignments: str) -> Sweep:
    """The first run alone, overridden."""
    study = replace(bound.study, runs=bound.study.runs[:1])
    return replace(bound, folder=folder, study=study.override(assignments))


def worker_of(folder: Path) -> int:
    """The process that has claimed the run of this folder."""
    (claim,) = folder.glob("claim.*")
    return read_json(claim, Owner).pid


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def steps(folder: Path) -> list[int]:
    return [row["step"] for row in records.means(folder) if "loss" in row]


def trajectory(folder: Path) -> list[dict[str, float]]:
    return records.means(folder)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"CPU": "2"}, r"--resource CPU: write it as num_cpus=2"),
        ({"num_gpus": "one"}, r"--resource num_gpus=one: must be a share of one, or a whole"),
        ({"num_gpus": "1.5"}, r"--resource num_gpus=1\.5: must be a share of one, or a whole"),
        ({"num_cpus": "0"}, r"--resource num_cpus=0: must be a share of one, or a whole number"),
        ({"num_cpus": "nan"}, r"--resource num_cpus=nan: must be a share of one, or a whole"),
    ],
)
def test_resource_that_ray_does_not_know_is_refused(resources, message):
    with pytest.raises(UserError, match=message):
        launchers.load("ray", None, resources)


def test_launcher_is_what_the_user_asked_for():
    assert launchers.load("ray", None, {}) == launcher.Ray(None, "local", {"num_cpus": 1.0})
    asked = {"address": "auto", "num_cpus": "8", "TPU-v5e-8-head": "1"}
    found = launchers.load("ray", 4, asked)
    assert found == launcher.Ray(4, "auto", {"num_cpus": 8.0, "TPU-v5e-8-head": 1.0})


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "cpu"),
        ({"A100": "1"}, "cpu"),
        ({"num_gpus": "0.5"}, "accelerator"),
        ({"TPU": "4"}, "accelerator"),
        ({"TPU-v5e-8-head": "1"}, "accelerator"),
    ],
)
def test_a_place_with_a_gpu_or_a_tpu_is_an_accelerator(resources, expected):
    assert launchers.load("ray", 1, resources).platform == expected


def test_places_are_what_the_nodes_hold_each_for_itself(monkeypatch):
    nodes = [
        {"Alive": True, "Resources": {"CPU": 6.0, "GPU": 4.0, "memory": 8e9}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0, "A100": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)

    def held(**resources: float) -> int:
        return launcher.Ray(None, "auto", resources)._held()

    assert held(num_cpus=2) == 3 + 1 + 8
    assert held(num_cpus=2, num_gpus=1) == 3 + 2
    assert held(num_cpus=1, num_gpus=0.5) == 6 + 4
    assert held(num_cpus=1, A100=1) == 1
    assert held(num_cpus=1, memory=1e9) == 6
    assert held(num_cpus=32) == 0


def test_cluster_that_is_not_there_is_told_at_once():
    where = "address=localhost:9"
    with pytest.raises(UserError, match=f"--resource {where}: no Ray cluster: .*refused"):
        _ = launchers.load("ray", 1, {"address": "localhost:9"}).places
    with pytest.raises(UserError, match=r"address=nowhere: no Ray cluster: Invalid address"):
        _ = launchers.load("ray", 1, {"address": "nowhere"}).places


def test_tasks_leave_the_records_of_the_local_launcher(bound, here, tmp_path, capfd):
    """And say nothing, and leave the handlers of signals as they were."""
    handlers = [signal.getsignal(number) for number in STOP_SIGNALS]
    events: list[Event] = []
    swept = replace(bound, folder=tmp_path)
    run_sweep(swept, StudyPart.FIT, here, events.append)
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == handlers
    fit = bound.study.part(StudyPart.FIT)
    assert [swept.status(run) for run in fit] == ["completed", "diverged", "completed"]
    for run in fit:
        assert trajectory(swept.folder / run.run_id) == trajectory(bound.folder / run.run_id)
    last = {event.run_id: event.phase for event in events}
    assert last == {run.run_id: swept.status(run) for run in fit}
    assert capfd.readouterr() == ("", "")


def test_more_than_any_node_has_is_refused(here):
    with pytest.raises(UserError, match=r"num_gpus=1: no node .* together have .*num_gpus=0"):
        _ = replace(here, resources={"num_cpus": 1, "num_gpus": 1}).places


def test_run_of_a_killed_worker_is_tried_again_and_goes_on(bound, here, tmp_path, capfd):
    swept, events, killed = one(bound, tmp_path, *SOME), [], []
    (run,) = swept.study.runs
    folder = tmp_path / run.run_id

    def watch(event: Event) -> None:
        events.append(event)
        if event.phase == "training" and not killed and (folder / record.CHECKPOINTS).exists():
            killed.append(worker_of(folder))
            os.kill(killed[0], signal.SIGKILL)

    run_sweep(swept, StudyPart.FIT, here, watch)
    assert killed
    assert [event.note for event in events if event.note] == [f"{run.run_id}: its worker died"]
    assert [event.phase for event in events].count(Status.COMPLETED) == 1
    assert steps(folder) == list(range(8, 1601, 8))
    assert capfd.readouterr() == ("", "")


def test_interrupted_tasks_save_what_was_done(bound, here, tmp_path, capfd):
    swept, workers = one(bound, tmp_path, *LONG), []
    (run,) = swept.study.runs
    folder = tmp_path / run.run_id

    def watch(event: Event) -> None:
        if event.phase == "training" and not workers:
            workers.append(worker_of(folder))
            os.kill(os.getpid(), signal.SIGTERM)

    run_sweep(swept, StudyPart.FIT, here, watch)
    assert swept.standing(run) == "stale"
    last = max(int(path.name) for path in (folder / record.CHECKPOINTS).iterdir())
    assert steps(folder)[-1] == last > 0
    assert capfd.readouterr().err.count("\n") == 1
    # whoever trained lives on, ready for the next population
    assert is_alive(workers[0])


def test_mistake_found_by_a_task_is_raised_here(bound, here, tmp_path):
    swept = one(bound, tmp_path)
    jobs = ready(swept, StudyPart.FIT, here)
    (tmp_path / swept.study.runs[0].run_id).write_text("in the way")
    with pytest.raises(UserError, match=r"cannot claim the run \(File exists\)") as caught:
        train(swept, jobs, here, lambda event: None)
    assert "\n" not in str(caught.value)


# --- tasks that do something else than train ---


@pytest.fixture
def tasks(bound, here, tmp_path):
    """Make the sweep's first two runs tasks that do this; gives them and the events."""
    here.places  # noqa: B018  connects
    swept = replace(bound, folder=tmp_path)
    populations = deque((swept.job(run),) for run in swept.study.runs[:2])

    def tasks(act, *arguments, places=2):
        act = ray.remote(num_cpus=0.5, max_retries=0)(act)
        events: list[Event] = []
        start = lambda population: tasks_of.Started([act.remote(population, *arguments)])  # noqa: E731
        log = tmp_path / "workers.log"
        return tasks_of.Tasks(start, lambda: places, log, events.append, populations.copy()), events

    return tasks


def test_run_whose_worker_always_dies_is_recorded_as_failed(bound, tasks, tmp_path):
    doomed, other = (run.run_id for run in bound.study.runs[:2])
    summary = records.run_summary()

    def act(population):
        if population[0].run.run_id == doomed:
            os._exit(1)
        record.write(population[0].folder, summary)

    found, events = tasks(act)
    assert found.run()
    assert [event.run_id for event in events if event.note] == [doomed] * 3
    assert {event.run_id: event.phase for event in events} == {doomed: "failed", other: "completed"}
    swept = replace(bound, folder=tmp_path)
    assert "its worker died 3 times, perhaps for want of memory" in swept.failure(
        bound.study.runs[0]
    )


def test_fault_of_ours_points_to_its_trace(tasks, tmp_path):
    def act(population):
        raise AttributeError("ours")

    found, _ = tasks(act)
    with pytest.raises(UserError, match=r"a worker failed; the end of workers\.log"):
        found.run()
    assert "in act" in (log := (tmp_path / "workers.log").read_text())
    assert "AttributeError: ours" in log


def test_run_that_another_has_is_left_until_it_is_free(bound, tasks, tmp_path, monkeypatch):
    """As that of a worker that has died with its node is, until its claim is stale."""
    held, free = (run.run_id for run in bound.study.runs[:2])
    started: list[str] = []
    looks: list[None] = []  # at the one that is held, since nothing else is left

    def is_claimed(folder: Path) -> bool:
        if folder.name == held and (tmp_path / free).exists():
            looks.append(None)
        return folder.name == held and len(looks) < 3

    monkeypatch.setattr(tasks_of, "is_claimed", is_claimed)
    found, _ = tasks(lambda population: population[0].folder.mkdir())
    start = found.start

    def told(population):
        started.append(population[0].run.run_id)
        return start(population)

    found.start = told
    assert found.run()
    assert started == [free, held]
    assert (tmp_path / held).exists()


def test_second_interrupt_ends_at_once(tasks, tmp_path):
    """Of tasks that do not listen."""
    pids = tmp_path / "pids"
    pids.mkdir()

    def act(population, pids):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        (pids / str(os.getpid())).touch()
        time.sleep(300)

    found, _ = tasks(act, pids)
    listen = found._listen

    def interrupt(follower):
        listen(follower)
        if len(list(pids.iterdir())) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    found._listen = interrupt
    with pytest.raises(KeyboardInterrupt):
        found.run()
    end = time.monotonic() + 60
    while any(is_alive(int(path.name)) for path in pids.iterdir()):
        assert time.monotonic() < end
        time.sleep(0.1)


# --- a cluster ---


@pytest.fixture
def cluster():
    """A head that computes nothing, and two nodes with one core each, all on this machine."""
    from ray.cluster_utils import Cluster

    ray.shutdown()
    head = {"num_cpus": 0, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args=head)
    nodes = [found.add_node(num_cpus=1) for _ in range(2)]
    yield found, nodes
    ray.shutdown()
    found.shutdown()


@pytest.mark.slow
def test_every_run_completes_though_a_node_dies(bound, cluster, tmp_path):
    """One of two, while both train; and every run ends once, with every row."""
    (found, (node, _)), fit = cluster, bound.study.part(StudyPart.FIT)
    study = replace(bound.study, runs=(fit[0], fit[2])).override(SOME)
    swept = replace(bound, folder=tmp_path, study=study)
    events: list[Event] = []
    nodes: list[int] = []
    launched = launchers.load("ray", None, {"address": found.address})

    def watch(event: Event) -> None:
        events.append(event)
        training = {event.run_id for event in events if event.phase == "training"}
        if len(training) == 2 and not nodes:
            nodes.append(launched.places)
            found.remove_node(node, allow_graceful=False)

    run_sweep(swept, StudyPart.FIT, launched, watch)
    assert nodes == [2]
    assert launched.places == 1
    assert [event.note for event in events if event.note]
    ended = sorted(event.run_id for event in events if event.phase in record.ENDED)
    assert ended == sorted(run.run_id for run in study.runs)
    for run in study.runs:
        assert swept.status(run) is Status.COMPLETED
        assert steps(tmp_path / run.run_id) == list(range(8, 1601, 8))


@pytest.mark.slow
def test_tasks_on_two_nodes_train_a_run_together(bound, cluster, tmp_path):
    """As one run alone does; a layout of one device is refused by its one line."""
    found, _ = cluster
    resources = {"address": found.address, "processes": "2"}
    launched = launchers.load("ray", None, resources)
    shared = one(bound, tmp_path, "execution.layout.name=fsdp")
    run_sweep(shared, StudyPart.FIT, launched)
    (run,) = shared.study.runs
    alone = one(bound, tmp_path / "alone")
    run_sweep(alone, StudyPart.FIT, Local(1))
    ours, theirs = (record.read(sweep.folder / run.run_id, RunSummary) for sweep in (shared, alone))
    assert ours.environment.processes == 2
    assert ours.metrics.loss == pytest.approx(theirs.metrics.loss, rel=1e-5)
    with pytest.raises(UserError, match=r"execution.layout.name=single: 2 processes train a run"):
        run_sweep(one(bound, tmp_path / "single"), StudyPart.FIT, launched)


@pytest.mark.slow
def test_no_task_of_a_run_starts_before_all_can(bound, cluster, tmp_path):
    """One of two nodes is taken: the other one stays free until both are."""
    found, _ = cluster
    launched = launchers.load("ray", None, {"address": found.address, "processes": "2"})
    assert launched.places == 1
    swept = one(bound, tmp_path, "execution.layout.name=fsdp")
    (run,), release = swept.study.runs, tmp_path / "release"

    def hold(release):
        while not release.exists():
            time.sleep(0.05)

    def free() -> float:
        return ray.available_resources().get("CPU", 0)

    held = ray.remote(num_cpus=1)(hold).remote(release)
    while free() != 1:
        time.sleep(0.05)
    started = launched._start(swept.site, (swept.job(run),), Path.cwd())
    time.sleep(SETTLED)
    assert free() == 1
    release.touch()
    assert ray.get([held, *started.tasks]) == [None, None, None]
    assert swept.status(run) is Status.COMPLETED
