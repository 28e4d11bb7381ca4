"""A host between a bucket and its disk: the bucket is a folder, gcloud a few lines of shell."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from experiments.record import AGAIN
from scaling.common.errors import UserError
from tpu.pod.host_run import Host, snapshot

# storage ls | cp | rsync, of gs://bucket as the folder $BUCKET. rsync deletes what is unmatched
# among checkpoints alone, as its --exclude asks.
GCLOUD = """#!/bin/bash
[ -e "$BUCKET.away" ] && exit 1
shift
verb=$1; shift
[ "$1" = --recursive ] && shift
from=${1/gs:\\/\\//$BUCKET/} to=${2/gs:\\/\\//$BUCKET/}
case $verb in
    ls) cd "$from" && for each in *; do echo "$1$each$([ -d "$each" ] && echo /)"; done ;;
    cp) mkdir -p "$(dirname "$to")" && cp "$from" "$to" ;;
    rsync)
        keep=; [ "$3" = --no-clobber ] && keep=--no-clobber
        mkdir -p "$to" && cp -a $keep "$from/." "$to" 2> /dev/null
        if [ "$3" = --delete-unmatched-destination-objects ]; then
            (cd "$to" && find . -path '*/checkpoints/*' -type f) | while read -r each; do
                [ -e "$from/$each" ] || rm "$to/$each"
            done
        fi ;;
esac
"""

# in place of `windtunnel`: a record that grows, and the exit code that was asked for
TRAINER = """
import sys, pathlib
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
run = out / "run"
rows = run / "metrics.jsonl"
before = rows.read_text() if rows.exists() else ""
(run / "checkpoints/2").mkdir(parents=True, exist_ok=True)
(run / "checkpoints/2/state").write_text("2")
old = run / "checkpoints/1/state"
old.unlink() if old.exists() else None
(run / "claim.3").write_text("mine")
rows.write_text(before + "row\\n")
sys.exit(int(sys.argv[3]))
"""


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty launch, and the working folder of a new machine."""
    programs, machine, folder = tmp_path / "bin", tmp_path / "machine", tmp_path / "cloud"
    (folder / "bucket/mine").mkdir(parents=True)
    (folder / "bucket/mine/source.bundle").write_text("")
    (machine / "experiments").mkdir(parents=True)
    (machine / "experiments/__init__.py").write_text("")
    (machine / "experiments/__main__.py").write_text(TRAINER)
    programs.mkdir()
    (programs / "gcloud").write_text(GCLOUD)
    (programs / "gcloud").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("BUCKET", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(machine))
    monkeypatch.chdir(machine)
    return folder / "bucket/mine"


def _host(shared: Path | None = None, worker: int = 0) -> Host:
    return Host("gs://bucket/mine", shared, worker, None)


def test_a_new_machine_goes_on_from_what_the_bucket_has(bucket: Path) -> None:
    (bucket / "runs/run/checkpoints/1").mkdir(parents=True)
    (bucket / "runs/run/checkpoints/1/state").write_text("1")
    (bucket / "runs/run/metrics.jsonl").write_text("row\n")
    (bucket / "runs/prediction.json").write_text("{}")
    assert _host().train(["mine", "0"], every=60) == 0
    assert (bucket / "runs/run/metrics.jsonl").read_text() == "row\nrow\n"
    assert (bucket / "runs/run/checkpoints/2/state").exists()
    assert not (bucket / "runs/run/checkpoints/1/state").exists()
    assert not (bucket / "runs/run/claim.3").exists()
    assert (bucket / "runs/prediction.json").exists()


def test_the_users_data_is_beside_the_code(bucket: Path) -> None:
    (bucket / "data").mkdir()
    (bucket / "data/corpus.jsonl").write_text(json.dumps({"text": "a"}))
    assert _host().train(["mine", "0"], every=60) == 0
    assert Path("data/corpus.jsonl").exists()


def test_the_studys_exit_code_is_the_hosts(bucket: Path) -> None:
    assert _host().train(["mine", "2"], every=60) == 2
    assert (bucket / "runs/run/metrics.jsonl").exists()


def _wait_for(condition: str, before_the_end: str = "") -> None:
    """A trainer that goes on until the condition holds."""
    lines = [
        "import time, os, signal, pathlib",
        TRAINER.replace("sys.exit", "code = "),
        "stop = []",
    ]
    lines += ["signal.signal(signal.SIGTERM, lambda *_: stop.append(1))"]
    lines += [f"{before_the_end}", f"while not ({condition}):", "    time.sleep(0.01)"]
    lines += ["rows.write_text('saved\\n')", "sys.exit(code)"]
    Path("experiments/__main__.py").write_text("\n".join(lines))


def test_records_are_sent_while_the_study_is_trained(bucket: Path) -> None:
    _wait_for(f"pathlib.Path({str(bucket / 'runs/run/metrics.jsonl')!r}).exists()")
    assert _host().train(["mine", "0"], every=0.05) == 0
    assert (bucket / "runs/run/metrics.jsonl").read_text() == "saved\n"


def test_what_is_saved_on_sigterm_is_sent(bucket: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    _wait_for("stop", "os.kill(os.getppid(), signal.SIGTERM)")
    assert _host().train(["mine", "75"], every=60) == AGAIN
    assert (bucket / "runs/run/metrics.jsonl").read_text() == "saved\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_records_that_do_not_arrive_are_not_finished(bucket: Path) -> None:
    host_run = _host()
    host_run.runs.mkdir(parents=True)
    trainer = Path("experiments/__main__.py")
    away = bucket.parents[2] / "cloud.away"
    trainer.write_text(f"open({str(away)!r}, 'w')\n{TRAINER}")
    assert host_run.train(["mine", "0"], every=60) == AGAIN


def test_without_the_bucket_nothing_is_begun(bucket: Path) -> None:
    (bucket.parents[2] / "cloud.away").touch()
    with pytest.raises(UserError, match="cannot be listed"):
        _host().train(["mine", "0"], every=60)
    assert not _host().runs.exists()


def test_on_a_share_the_first_host_alone_sends(bucket: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    words = ["--launcher", "group", "--cache", str(share / "cache")]
    together = TRAINER + f"assert sys.argv[-4:] == {words}\n"
    Path("experiments/__main__.py").write_text(together.replace("sys.exit", "code = "))
    assert _host(share, worker=1).train(["mine", "0"], every=60) == 0
    assert not (bucket / "runs").exists()
    assert _host(share, worker=0).train(["mine", "0"], every=60) == 0
    assert (bucket / "runs/run/metrics.jsonl").read_text() == "row\nrow\n"


def test_what_outlived_the_machine_on_a_share_is_kept(bucket: Path, tmp_path: Path) -> None:
    """The bucket's copy is older, and has a prediction besides."""
    runs = tmp_path / "share/runs/mine"
    for folder, rows in (bucket / "runs", "old\n"), (runs, "newer\n"):
        (folder / "run").mkdir(parents=True)
        (folder / "run/metrics.jsonl").write_text(rows)
    (bucket / "runs/prediction.json").write_text("{}")
    assert _host(tmp_path / "share").train(["mine", "0"], every=60) == 0
    assert (bucket / "runs/run/metrics.jsonl").read_text() == "newer\nrow\n"
    assert (runs / "prediction.json").exists()


def test_no_checkpoint_of_a_snapshot_is_ahead_of_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training goes on between the halves: the checkpoint of step 2 comes with its row."""
    run = tmp_path / "runs/run"
    (run / "checkpoints/1").mkdir(parents=True)
    (run / "checkpoints/1/state").write_text("1")
    (run / "metrics.jsonl").write_text("1\n")
    from tpu.pod import host_run

    copytree = host_run.shutil.copytree

    def meanwhile(*args: object, **options: object) -> object:
        done = copytree(*args, **options)  # type: ignore[arg-type, call-overload]
        (run / "checkpoints/2").mkdir(exist_ok=True)
        (run / "checkpoints/2/state").write_text("2")
        (run / "metrics.jsonl").write_text("1\n2\n")
        return done

    monkeypatch.setattr(host_run.shutil, "copytree", meanwhile)
    snapshot(tmp_path / "runs", tmp_path / "copy")
    steps = {path.name for path in (tmp_path / "copy/run/checkpoints").iterdir()}
    rows = set((tmp_path / "copy/run/metrics.jsonl").read_text().split())
    assert steps == {"1"}
    assert steps <= rows
