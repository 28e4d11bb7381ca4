"""A sweep's places on Ray: arguments, what nodes hold, and clusters of several nodes."""

from __future__ import annotations

import importlib
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import records
import tiny

from experiments import launchers, record
from experiments.launchers.local import Local
from experiments.record import RunSummary, Status, StudyPart
from experiments.runs.job import Event
from experiments.sweep.sweep import Sweep, run_sweep
from scaling.common.errors import UserError

if find_spec("ray") is None:
    pytest.skip("the extra 'ray' is not installed", allow_module_level=True)
launcher = importlib.import_module("experiments.launchers.ray")  # first of all: it quiets Ray
tasks_of = importlib.import_module("experiments.launchers._ray_tasks")
ray = launcher.ray

# An instance is started by a fork, which is of another program at once, and not of JAX
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")

SETTLED = 3.0  # seconds in which Ray starts a task that has its resources


@pytest.fixture
def bound(swept) -> Sweep:
    """Three runs, one of which diverges; two local workers have trained them."""
    return swept[0]


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
    study = replace(bound.study, runs=(fit[0], fit[2])).override(tiny.lasting(1600))
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
        assert records.steps(tmp_path / run.run_id) == list(range(8, 1601, 8))


@pytest.mark.slow
def test_tasks_on_two_nodes_train_a_run_together(bound, cluster, tmp_path):
    """As one run alone does; a layout of one device is refused by its one line."""
    found, _ = cluster
    resources = {"address": found.address, "processes": "2"}
    launched = launchers.load("ray", None, resources)
    shared = tiny.first(bound, tmp_path, "execution.layout.name=fsdp")
    run_sweep(shared, StudyPart.FIT, launched)
    (run,) = shared.study.runs
    alone = tiny.first(bound, tmp_path / "alone")
    run_sweep(alone, StudyPart.FIT, Local(1))
    ours, theirs = (record.read(sweep.folder / run.run_id, RunSummary) for sweep in (shared, alone))
    assert ours.environment.processes == 2
    assert ours.metrics.loss == pytest.approx(theirs.metrics.loss, rel=1e-5)
    with pytest.raises(UserError, match=r"execution.layout.name=single: 2 processes train a run"):
        run_sweep(tiny.first(bound, tmp_path / "single"), StudyPart.FIT, launched)


@pytest.mark.slow
def test_no_task_of_a_run_starts_before_all_can(bound, cluster, tmp_path):
    """One of two nodes is taken: the other one stays free until both are."""
    found, _ = cluster
    launched = launchers.load("ray", None, {"address": found.address, "processes": "2"})
    assert launched.places == 1
    swept = tiny.first(bound, tmp_path, "execution.layout.name=fsdp")
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
