"""The Slurm launcher without Slurm: its sbatch text, its bookkeeping, and submitit's own executor
of local processes, which sends the same signals and starts again what asks for it."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import records
import tiny

from experiments import launchers, record
from experiments.devices.slot import Slot
from experiments.record import AGAIN, MetricsRow, Status, StudyPart
from experiments.runs.job import Event, Job
from experiments.sweep.sweep import Sweep, bind, run_sweep
from experiments.training import trainer
from scaling.common.errors import UserError
from scaling.common.files import read_json, write_json

submitit = pytest.importorskip("submitit")

from experiments.launchers import _slurm_job as slurm_job  # noqa: E402
from experiments.launchers import slurm  # noqa: E402
from experiments.launchers._slurm_job import ArrayTask  # noqa: E402
from experiments.launchers.slurm import Slurm  # noqa: E402

# long enough to be caught in the act
LONG = ["budget.tokens=1280000", "data.epochs=80"]
ASKED = {"timeout_min": 60, "signal_delay_s": 90}


@pytest.fixture
def bound(tmp_path, texts, cache) -> Sweep:
    return bind(tiny.study(texts), tmp_path / "tiny", cache)


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A folder of Slurm's commands: sbatch takes job 7, squeue prints what is in `queue`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    texts = {
        "srun": "",
        "sbatch": 'echo "Submitted batch job 7"; echo >> "$0.calls"',
        "squeue": f'cat "{tmp_path}/queue"',
    }
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "LOOK", 0.01)
    monkeypatch.setattr(slurm, "ASK", 0.05)
    return folder


@pytest.fixture
def locally(monkeypatch):
    """Submitit's executor of local processes in the place of Slurm's; what it has started."""
    started: list[submitit.Job] = []

    class Executor(submitit.AutoExecutor):
        def __init__(self, folder: Path, cluster: str, **settings: int) -> None:
            super().__init__(folder, cluster="local")

        def submit_array(self, array_tasks):
            jobs = super().submit_array(array_tasks)
            started.extend(jobs)
            return jobs

    monkeypatch.setattr(slurm, "AutoExecutor", Executor)
    monkeypatch.setattr(slurm, "_queue", lambda: {j.job_id for j in started if not j.done()})
    monkeypatch.setattr(slurm, "LOOK", 0.1)
    yield started
    for job in started:
        job.cancel()
        job._process.wait()


def _rows(folder: Path) -> list[dict[str, float]]:
    return records.means(folder)


def _jobs(bound: Sweep) -> list[Job]:
    return [bound.job(run) for run in bound.study.part(StudyPart.FIT)]


def _submitted(bound: Sweep, populations: dict[str, list[Job]]) -> Path:
    """As an earlier call left it."""
    folder = bound.site.folder / slurm.FOLDER
    array_tasks = {
        name: [job.run.run_id for job in population] for name, population in populations.items()
    }
    write_json(folder / "7.json", slurm.Submitted(array_tasks))
    return folder


def _result(folder: Path, name: str, outcome: str, value: str | None) -> None:
    (folder / f"{name}_0_result.pkl").write_bytes(pickle.dumps((outcome, value)))


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"partitoin": "gpu"}, r"--resource partitoin: did you mean 'partition'"),
        ({"nodes": "2"}, r"--resource nodes: "),
        ({"gpus_per_node": "one"}, r"--resource gpus_per_node=one: expected int"),
        ({"timeout_min": "1"}, r"--resource timeout_min=1: too short .* 90 s"),
    ],
)
def test_resource_that_slurm_cannot_give_is_refused(commands, resources, message):
    with pytest.raises(UserError, match=message):
        launchers.load("slurm", 1, resources)


@pytest.mark.parametrize("absent", slurm.COMMANDS)
def test_absent_command_of_slurm_is_one_line(commands, monkeypatch, absent):
    (commands / absent).unlink()
    monkeypatch.setenv("PATH", str(commands))
    with pytest.raises(UserError, match=rf"--launcher slurm: no {absent} here"):
        launchers.load("slurm", 1, {})


def test_command_that_vanishes_later_is_no_answer(commands, monkeypatch):
    (commands / "squeue").unlink()
    monkeypatch.setenv("PATH", str(commands))
    assert slurm._queue() is None


def test_choices_are_typed_and_the_rest_has_defaults(commands):
    asked = {"partition": "gpu", "gpus_per_node": "1", "mem_gb": "1.5"}
    found = launchers.load("slurm", 8, asked)
    typed = {"partition": "gpu", "gpus_per_node": 1, "mem_gb": 1.5}
    assert found == Slurm(8, {"timeout_min": 60, "signal_delay_s": 90, **typed})
    assert found.platform == "accelerator"
    assert launchers.load("slurm", None, {"partition": "long"}).platform == "cpu"


def test_machine_without_slurm_is_told_of(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"no sbatch here"):
        launchers.load("slurm", 1, {})


def test_missing_package_is_told_of_with_its_remedy(monkeypatch):
    monkeypatch.delitem(sys.modules, "experiments.launchers.slurm")
    monkeypatch.setitem(sys.modules, "submitit", None)
    remedy = r"needs the package 'submitit': pip install -e '\.\[slurm\]'"
    with pytest.raises(UserError, match=remedy):
        launchers.load("slurm", 1, {})


def test_the_text_that_sbatch_is_given(commands, bound, golden):
    asked = ("partition=gpu", "gpus_per_node=1", "timeout_min=240", "mem_gb=7.5", "account=lab")
    launcher = launchers.load("slurm", 2, dict(text.split("=") for text in asked))
    ids = launcher._submit(bound.site, [(job,) for job in _jobs(bound)])
    assert ids == ["7_0", "7_1", "7_2"]
    text = (bound.folder / "slurm" / "7_submission.sh").read_text()
    text = text.replace(str(bound.folder), "STUDY").replace(sys.executable, "PYTHON")
    golden("sbatch", text.splitlines())


def test_what_sbatch_refuses_is_told_in_its_last_line(commands, bound):
    (commands / "sbatch").write_text("#!/bin/sh\necho one >&2; echo sbatch: no such >&2; exit 1\n")
    with pytest.raises(UserError, match=r"^sbatch: no such$"):
        run_sweep(bound, StudyPart.FIT, Slurm(2, ASKED))


def test_runs_that_slurm_still_has_are_followed_and_not_submitted_again(
    commands, bound, tmp_path, capsys
):
    """Of three runs one is queued and one was; the first array task of the new job is lost."""
    first, second, third = _jobs(bound)
    folder = _submitted(bound, {"7_4": [first], "7_5": [second]})
    (tmp_path / "queue").write_text("7_4\n8\n")
    _result(folder, "7_4", "success", None)
    _result(folder, "7_1", "success", None)
    with pytest.raises(UserError, match=r"^job 7_0 was cancelled or killed; its log: .*7_0_0_log"):
        Slurm(2, ASKED).train(bound.site, [(first, second), (third,)], lambda event: None)
    assert (commands / "sbatch.calls").read_text() == "\n"
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "with Slurm since an earlier call, and followed: job 7 (1 left)"
    written = read_json(folder / "7.json", slurm.Submitted).array_tasks
    assert written == {"7_0": [second.run.run_id], "7_1": [third.run.run_id]}


def test_nothing_is_submitted_while_slurm_does_not_answer(commands, bound):
    _submitted(bound, {"7_4": []})
    with pytest.raises(UserError, match=r"squeue does not answer"):
        run_sweep(bound, StudyPart.FIT, Slurm(2, ASKED))
    assert not (commands / "sbatch.calls").exists()


def test_errors_of_array_tasks_are_raised_when_all_have_ended(commands, bound, tmp_path, capsys):
    """The user's mistake as its own line; of anything else the name of its log. Slurm is away."""
    populations = [(job,) for job in _jobs(bound)]
    folder = bound.folder / slurm.FOLDER
    folder.mkdir(parents=True)
    _result(folder, "7_0", "success", "the disk is full")
    _result(folder, "7_1", "error", "Traceback ...")
    _result(folder, "7_2", "success", None)
    with pytest.raises(UserError, match=r"^the disk is full$"):
        Slurm(2, ASKED).train(bound.site, populations, lambda event: None)
    told = capsys.readouterr().err.splitlines()[1:]
    assert told == [
        "the disk is full",
        f"job 7_1 failed; the end of {folder}/7_1_0_log.err says why",
    ]


def test_ctrl_c_leaves_the_jobs_with_slurm(commands, bound, tmp_path, capsys, monkeypatch):
    (tmp_path / "queue").write_text("7_0\n7_1\n7_2\n")

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    monkeypatch.setattr(submitit.SlurmExecutor, "_throttle", lambda self: None)
    run_sweep(bound, StudyPart.FIT, Slurm(2, ASKED))
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith("Slurm keeps job 7 (3 left), and the same command follows it; ")
    assert told[-1].endswith("scancel 7")


@pytest.fixture
def stopped(bound, monkeypatch):
    """Call an array task that these signals stop; gives the lines of the handler."""

    def stopped(*numbers: int, status: Status = Status.STARTED) -> list[str]:
        seen: list[str] = []

        def train_here(population, slot, interrupted):
            assert not interrupted()
            for number in numbers:
                signal.raise_signal(number)
            assert interrupted() == bool(numbers)
            seen.append("saved")

        monkeypatch.setattr(slurm_job, "train_here", train_here)
        monkeypatch.setattr(record, "run_status", lambda folder: status)
        before = {
            number: signal.signal(number, lambda *_: seen.append("requeued"))
            for number in (signal.SIGUSR2, signal.SIGTERM)
        }
        try:
            slot = Slot(bound.site.cache, log=None)
            seen.append(str(ArrayTask((_jobs(bound)[0],), slot)()))
        except SystemExit as error:
            seen.append(str(error.code))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return seen

    return stopped


@pytest.mark.parametrize(
    ("numbers", "status", "expected"),
    [
        ((), Status.COMPLETED, ["saved", "None"]),
        ((signal.SIGUSR2,), Status.STARTED, ["saved", "requeued", str(AGAIN)]),
        ((signal.SIGTERM, signal.SIGUSR2), Status.STARTED, ["saved", "requeued", str(AGAIN)]),
        ((signal.SIGTERM,), Status.STARTED, ["saved", str(AGAIN)]),
        ((signal.SIGUSR2,), Status.COMPLETED, ["saved", "None"]),
    ],
)
def test_submitit_queues_an_element_again_only_after_it_has_saved(
    stopped, numbers, status, expected
):
    """By its own handler; after SIGTERM alone Slurm does, and no result may say that it ended."""
    assert stopped(*numbers, status=status) == expected


def test_users_mistake_is_the_result_of_the_element(bound, monkeypatch):
    def train_here(*_: object) -> None:
        raise UserError("no corpus")

    monkeypatch.setattr(slurm_job, "train_here", train_here)
    slot = Slot(bound.site.cache, log=None)
    assert ArrayTask((), slot)() == "no corpus"


def test_queued_again_it_waits_for_the_claim_of_an_attempt_that_was_killed(bound, monkeypatch):
    (job, *_) = _jobs(bound)
    slot = Slot(bound.site.cache, log=None)
    claimed, waits = iter([True, True, False]), []
    monkeypatch.setattr(slurm_job, "is_claimed", lambda folder: next(claimed))
    monkeypatch.setattr(slurm_job, "train_here", lambda *_: waits.append("trained"))
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    ArrayTask((job,), slot)()
    assert waits == [1, 1, "trained"]


@pytest.mark.slow
def test_an_element_that_is_signalled_saves_is_queued_again_and_loses_nothing(
    locally, bound, tmp_path, monkeypatch
):
    """Its record is that of a run that was never interrupted, to the bit."""

    class Signalled(ArrayTask):
        """Is told to stop in the middle of writing a row, the first time."""

        def __call__(self) -> str | None:
            original, rows = record.append_rows, []

            def append_rows(path: Path, row: list[MetricsRow]) -> None:
                rows.append(row)
                if len(rows) == 3:
                    signal.raise_signal(signal.SIGUSR2)
                original(path, row)

            if not (self.population[0].folder / record.CHECKPOINTS).exists():
                record.append_rows = append_rows
            return super().__call__()

    monkeypatch.setattr(slurm, "ArrayTask", Signalled)
    first = replace(bound.study, runs=bound.study.runs[:1])
    bound = replace(bound, study=first.override(["execution.checkpoint_seconds=1e6"]))
    events: list[Event] = []
    run_sweep(bound, StudyPart.FIT, Slurm(1, ASKED), events.append)
    (job,), (process,) = _jobs(bound), locally
    assert events[-1] == Event(job.run.run_id, Status.COMPLETED, tiny.STEPS)
    log = process.stdout()
    assert log.count("Requeued job") == 1
    assert log.count("Job completed successfully") == 1
    assert [path.name for path in job.folder.glob("claim.*")] == ["claim.2"]
    saved = {path.name for path in (job.folder / record.CHECKPOINTS).iterdir()}
    assert saved == {"32", "50"}  # the dispatch that was under way is in the first
    alone = replace(job, folder=tmp_path / "alone")
    trainer.train(alone, bound.corpora)
    assert _rows(job.folder) == _rows(alone.folder)
