"""A mistyped command line, or a refusal of the system, is one line."""

from __future__ import annotations

import argparse
import errno
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import complaints

from scaling.common.command_line import Parser, main
from scaling.common.errors import UserError


def parser() -> Parser:
    top = Parser(prog="tool")
    verbs = top.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--workers", type=int)
    run.add_argument("--out")
    run.add_argument("--set")
    run.add_argument("--to", type=Path)
    return top


def test_good_arguments_are_parsed() -> None:
    assert parser().parse_args(["run", "--workers", "2"]) == argparse.Namespace(
        verb="run", workers=2, out=None, set=None, to=None
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--worker", "2"], "--worker: .* did you mean '--workers'?"),
        (["run", "--werkers=2"], "--werkers: .* did you mean '--workers'?"),
        (["run", "--lr", "2"], "--lr: .* write a setting as --set lr=VALUE"),
        (["run", "surplus"], "surplus: no such argument of tool run; see --help"),
        (["run", "--workers", "two"], "--workers: invalid int value: 'two'; see tool run --help"),
        (["run", "--to", "gs://b/x"], "--to gs://b/x: a URL; name a place of this machine"),
        (["rnu"], "verb 'rnu': did you mean 'run'"),
        ([], "required: verb; see tool --help"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        parser().parse_args(arguments)
    assert "\n" not in str(caught.value)


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        raise error

    return run


def tool(run: Callable[[argparse.Namespace], int]) -> Callable[[], Parser]:
    def made() -> Parser:
        top = parser()
        top.set_defaults(run=run, command="run")
        return top

    return made


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("rows: none"), 2, "error: rows: none"),
        (OSError(errno.ENOSPC, "No space left on device", "fit.json"), 2, "fit.json: .*make room"),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 2, "out: Permission denied"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), 2, "a/b: Not a directory"),
        (OSError(errno.EMFILE, "Too many open files", "run"), 2, "ulimit -n"),
        (MemoryError("8 GiB"), 2, "not enough memory .*8 GiB"),
    ],
)
def test_the_worlds_refusals_are_one_line(error, code, said, capsys):
    assert main(tool(raising(error)), ["run"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == bool(said) and re.search(said, "".join(lines))


def test_our_mistakes_keep_their_trace():
    with pytest.raises(ZeroDivisionError):
        main(tool(raising(ZeroDivisionError())), ["run"])


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        ("> /dev/full", 2, "error: output: No space left on device; make room"),
        (">&-", 0, ""),
        ("2> /dev/full", 0, ""),
        ("--help | true", 0, ""),
    ],
)
def test_output_that_cannot_be_written(redirection: str, code: int, said: str):
    command = f"{shlex.quote(sys.executable)} -m analysis laws chinchilla {redirection}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == code
    told = complaints(done.stderr)
    assert len(told) == bool(said) and "".join(told).startswith(said)


WORK = """
import pathlib, sys
from scaling.common.command_line import exit_code
def work():
    for line in range(20_000):
        print(line)
        print(line, file=sys.stderr)
    sys.stdout.flush()
    pathlib.Path(sys.argv[1]).touch()
    return 75
sys.exit(exit_code(work))
"""


@pytest.mark.parametrize("flags", ["", "-u"])
def test_work_goes_on_when_nobody_reads(flags: str, tmp_path: Path):
    command = (
        f"{sys.executable} {flags} -c '{WORK}' {tmp_path}/done 2>&1 | true; exit ${{PIPESTATUS[0]}}"
    )
    assert subprocess.run(["bash", "-c", command]).returncode == 75
    assert (tmp_path / "done").exists()


def test_letters_that_a_terminal_lacks_are_replaced():
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "fit", "\u03b1.csv"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    (told,) = complaints(done.stderr)
    assert done.returncode == 2 and told.startswith("error: ?.csv: no such file")
