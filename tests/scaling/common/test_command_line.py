"""A mistyped command line is one line that names the nearest option."""

from __future__ import annotations

import argparse

import pytest

from scaling.common.command_line import Parser
from scaling.common.errors import UserError


def parser() -> Parser:
    top = Parser(prog="tool")
    verbs = top.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--workers", type=int)
    run.add_argument("--out")
    return top


def test_good_arguments_are_parsed() -> None:
    assert parser().parse_args(["run", "--workers", "2"]) == argparse.Namespace(
        verb="run", workers=2, out=None
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--worker", "2"], "--worker: .* did you mean '--workers'?"),
        (["run", "--werkers=2"], "--werkers: .* did you mean '--workers'?"),
        (["run", "surplus"], "surplus: no such argument of tool run; see --help"),
        (["run", "--workers", "two"], "--workers: invalid int value: 'two'; see tool run --help"),
        (["rnu"], "verb 'rnu': did you mean 'run'"),
        ([], "required: verb; see tool --help"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        parser().parse_args(arguments)
    assert "\n" not in str(caught.value)
