"""The mirror's own part, with a tracker that is a dict; then beside a real sweep, with bad ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import records
import tiny

from experiments import record, trackers
from experiments.__main__ import main
from experiments.record import Status, StudyPlan
from experiments.runs.claim import take
from experiments.runs.summary import write_config
from experiments.trackers import Held
from experiments.trackers import _mirror as mirrors
from experiments.trackers._mirror import beside, mirror
from scaling.common.errors import UserError

ONCE = (None,)


@dataclass
class Remembered:
    """A service that keeps what it is told, in order; a tracker and a session of one run."""

    told: list = field(default_factory=list)
    step: int = 0
    status: Status = Status.MISSING
    refusal: Exception | None = None

    def held(self, run_id):
        return Held(self.step, self.status)

    def open(self, header):
        if self.refusal:
            raise self.refusal
        self.told.append("open")
        return self

    def add(self, points):
        self.told += [(point.step, dict(point.values)) for point in points]
        self.step = points[-1].step if points else self.step

    def end(self, ending):
        self.told.append(ending.status)
        self.status = ending.status

    def close(self):
        self.told.append("close")


@pytest.fixture
def service(monkeypatch):
    service = Remembered()
    module = SimpleNamespace(errors=lambda: (ZeroDivisionError,), tracker=lambda *_: service)
    monkeypatch.setattr(trackers, "load", lambda name: module)
    return service


@pytest.fixture
def job(tmp_path):
    """A planned run, begun."""
    job = tiny.job(tmp_path)
    record.write(tmp_path, records.plan("tiny", [records.planned(job.run.run_id)]))
    write_config(job, ())
    return job


def row(step, seconds=1.0, **means):
    return records.training(step, 3.0, seconds, **means)


def append(job, *rows):
    record.append_rows(job.folder / record.METRICS, list(rows))


def end(job, status=Status.COMPLETED):
    record.write(job.folder, records.run_summary(status=status, metrics={"loss": 2.5}))


def test_rows_of_a_step_are_one_point_and_the_last_waits_until_it_is_whole(job, service, tmp_path):
    append(job, row(8), row(16, 2.0, grad_norm=None))
    assert mirror(tmp_path, "memory", ONCE) == 1
    append(job, records.validation(16, 3.5))
    assert mirror(tmp_path, "memory", ONCE) == 0
    append(job, row(24, 3.0))
    assert mirror(tmp_path, "memory", ONCE) == 1
    end(job)
    assert mirror(tmp_path, "memory", ONCE) == 1
    assert mirror(tmp_path, "memory", ONCE) == 0
    first, second, third = [told for told in service.told if isinstance(told, tuple)]
    assert first == (8, {"tokens": 512, "loss": 3.0, "seconds": 1.0})
    assert math.isnan(second[1].pop("grad_norm"))
    assert second == (16, {"tokens": 1024, "loss": 3.0, "valid_loss": 3.5, "seconds": 2.0})
    assert third == (24, {"tokens": 1536, "loss": 3.0, "seconds": 3.0})
    assert service.told[-2:] == [Status.COMPLETED, "close"]


def test_it_follows_a_run_through_an_interruption_and_a_failure_to_its_end(job, service, tmp_path):
    def looks():
        append(job, row(8), row(16), row(24))
        yield
        record.rewrite_rows(job.folder / record.METRICS, [row(8)])  # back to a checkpoint
        yield
        append(job, row(16), row(24), row(32))
        yield
        end(job, Status.FAILED)
        yield
        raise AssertionError("it looks on after the end")

    assert mirror(tmp_path, "memory", looks()) == 4
    (job.folder / record.SUMMARY).unlink()  # tried again
    append(job, row(40))
    end(job)
    assert mirror(tmp_path, "memory", ONCE) == 1
    steps = [told[0] if isinstance(told, tuple) else told for told in service.told]
    assert steps == ["open", 8, 16, 24, 32, "failed", "close", "open", 40, "completed", "close"]


def test_it_goes_on_until_every_planned_run_has_ended(job, service, tmp_path):
    runs = record.read(tmp_path, StudyPlan).runs
    records.change(tmp_path, StudyPlan, runs=(*runs, records.planned("not-begun")))
    append(job, row(8))
    end(job)
    looked = []
    mirror(tmp_path, "memory", (looked.append(k) for k in range(3)))
    assert looked == [0, 1, 2]


def test_what_went_wrong_is_one_line(job, service, tmp_path):
    append(job, row(8), row(16))
    with pytest.raises(UserError, match=r"nowhere/study.json: cannot read"):
        mirror(tmp_path / "nowhere", "memory", ONCE)
    service.refusal = ZeroDivisionError("no such project\nmore of it")
    with pytest.raises(UserError, match=r"^memory: no such project; mirror again to continue$"):
        mirror(tmp_path, "memory", ONCE)
    service.refusal = None
    with take(tmp_path / "memory"), pytest.raises(UserError, match="another process mirrors"):
        mirror(tmp_path, "memory", ONCE)
    assert mirror(tmp_path, "memory", ONCE) == 1


def test_command_says_how_much_was_sent(job, service, tmp_path, capsys):
    append(job, row(8), row(16))
    end(job)
    for sent in (2, 0):
        assert main(["mirror", str(tmp_path), "--tracker", "memory", "--follow"]) == 0
        assert capsys.readouterr().out == f"memory: {sent} points sent\n"


def test_damaged_record_of_one_run_does_not_hold_up_another(job, service, tmp_path):
    other = tiny.job(tmp_path, "seed=1")
    write_config(other, ())
    (other.folder / record.METRICS).write_text("{}\n")
    runs = tuple(records.planned(one.run.run_id) for one in (other, job))
    records.change(tmp_path, StudyPlan, runs=runs)
    append(job, row(8), row(16))
    with pytest.raises(UserError, match=r"metrics.jsonl:1: not a row of the record"):
        mirror(tmp_path, "memory", ONCE)
    assert [told[0] for told in service.told] == ["o", 8, "c"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tensorbord", "--tracker 'tensorbord': did you mean 'tensorboard'?"),
        ("wandb", "--tracker 'wandb': needs the package 'wandb': pip install -e '.[wandb]'"),
    ],
)
def test_unknown_tracker_or_missing_package_is_told_before_any_work(
    name, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(trackers, "find_spec", lambda package: None)
    out = tmp_path / "out"
    assert main(["run", "quickstart", "--out", str(out), "--tracker", name]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not out.exists()


# One hangs, one raises, one takes its process down, each where it is first used.
BAD = {
    "wandb": "import time\nclass Error(Exception): pass\ndef setup(): time.sleep(1e6)\n",
    "mlflow": "raise RuntimeError('not today')\n",
    "tensorboard": "import os\nos.abort()\n",
    "sqlalchemy": "",
    "alembic": "",
}


def test_trackers_that_hang_raise_or_crash_leave_a_sweep_as_it_is(
    study_file, cache, tmp_path, monkeypatch, capfd
):
    for name, text in BAD.items():
        package = tmp_path / "bad" / name / "__init__.py"
        package.parent.mkdir(parents=True)
        package.write_text(text)

    def run(out, *arguments):
        places = ("--out", str(tmp_path / out), "--cache", str(cache))
        code = main(["run", study_file, *places, "--workers", "1", *arguments])
        return code, *capfd.readouterr()

    code, stdout, _ = run("alone")
    assert code == 0
    monkeypatch.syspath_prepend(tmp_path / "bad")
    monkeypatch.setattr(mirrors, "GRACE", 1.0)
    names = ("wandb", "mlflow", "tensorboard")
    beside, said, err = run("beside", *(word for name in names for word in ("--tracker", name)))

    assert beside == 0
    assert said == stdout.replace(str(tmp_path / "alone"), str(tmp_path / "beside"))
    folder = tmp_path / "beside"
    told = [line for line in err.splitlines() if f"windtunnel mirror {folder} " in line]
    log = f"yet ({folder / 'mirror.log'})"
    why = {
        "wandb": "wandb may lack the last points, its mirror had 1 s for them",
        **{name: f"not all is in {name} {log}" for name in names[1:]},
    }
    assert told == [f"{why[name]}: windtunnel mirror {folder} --tracker {name}" for name in names]
    assert "RuntimeError: not today" in (folder / mirrors.LOG).read_text()
    assert _records(folder) == _records(tmp_path / "alone")


def _records(folder):
    """All but the times."""
    kept = {}
    for path in folder.glob(f"*/{record.METRICS}"):
        kept[path.parent.name] = records.means(path.parent), record.run_status(path.parent)
    assert len(kept) == 3
    return kept


def test_mirror_beside_a_sweep_takes_the_last_look_when_that_has_ended(job, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    from tracker_readers import tensorboard

    monkeypatch.setattr(mirrors, "GRACE", 120.0)
    with beside(tmp_path, ["tensorboard"]):
        append(job, row(8), row(16))  # and is interrupted
    assert list(tensorboard(tmp_path, job.run.run_id).points) == [8]
    with beside(tmp_path, ["tensorboard"]):
        end(job)
    assert list(tensorboard(tmp_path, job.run.run_id).points) == [8, 16]
