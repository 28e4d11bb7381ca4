"""A command that prepares or trains a study is seen by `status --watch`; a dead one is not."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from experiments import studies
from experiments.__main__ import main
from experiments.search import searcher
from experiments.sweep import run_study
from experiments.sweep import sweep as sweeps
from experiments.sweep.under_way import FOLDER, is_under_way, under_way

KILLED = """
import os, sys
from pathlib import Path
from experiments.sweep.under_way import under_way
with under_way(Path(sys.argv[1]), Path(sys.argv[2])):
    os._exit(0)
"""


def test_a_watch_lasts_while_a_process_prepares(
    study_file: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """No run has begun: the watch ends with the process that would train them."""
    process, waits = ExitStack(), list[float]()
    process.enter_context(under_way(tmp_path / "out", cache))

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        process.close()

    monkeypatch.setattr(time, "sleep", sleep)
    places = ["--out", str(tmp_path / "out"), "--cache", str(cache)]
    assert main(["status", study_file, *places, "--watch", "7"]) == 0
    assert waits == [7]


def test_a_killed_process_is_not_under_way(tmp_path: Path):
    folder, cache = tmp_path / "out", tmp_path / "cache"
    subprocess.run([sys.executable, "-c", KILLED, str(folder), str(cache)], check=True)
    (signs,) = (cache / FOLDER).iterdir()
    assert len(list(signs.iterdir())) == 1 and not is_under_way(folder, cache)
    with under_way(folder, cache):
        assert len(list(signs.iterdir())) == 1 and is_under_way(folder, cache)
        assert not is_under_way(tmp_path / "another", cache)
    assert not list(signs.iterdir())


def test_no_sign_hinders_no_training(tmp_path: Path):
    (tmp_path / "cache").write_text("")
    with under_way(tmp_path / "out", tmp_path / "cache"):
        assert not is_under_way(tmp_path / "out", tmp_path / "cache")


@pytest.mark.parametrize(
    ("command", "module"),
    [("run", sweeps), ("search", searcher), ("python", run_study)],
    ids=["run", "search", "python"],
)
def test_a_study_that_is_bound_is_under_way(
    command: str, module, study_file: str, search_file: str, tmp_path: Path, monkeypatch
):
    seen, out, cache = list[bool](), tmp_path / "out", tmp_path / "cache"

    def bind(*_: object, **__: object) -> None:
        seen.append(is_under_way(out, cache))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "bind", bind)
    monkeypatch.setattr(run_study, "cache_folder", lambda: cache)
    places = ["--out", str(out), "--cache", str(cache)]
    if command == "python":
        with pytest.raises(KeyboardInterrupt):
            run_study.run(studies.load(study_file), out=out)
    else:
        main([command, study_file if command == "run" else search_file, *places])
    assert seen == [True] and not is_under_way(out, cache)
