"""All commands of all rooms: numbers, outputs and --json, from the parsers themselves."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import parsers

from scaling import laws
from scaling.common import files, quantities
from scaling.common.command_line import Parser
from scaling.common.console import main
from scaling.common.packages import ROOMS

NUMBERS = tuple(
    getattr(quantities, name)
    for name in (
        "number",
        "positive",
        "not_negative",
        "share",
        "whole",
        "count",
        "counts",
        "positives",
    )
)
OUTPUTS = {files.output_file: "a folder", files.output_folder: "a file"}
# Commands whose work, and no answer, is what they are for: their programs print for themselves
WORK = {"tpu host"}


COMMANDS = list(parsers())
OPTIONS = [(name, parser, action) for name, parser in COMMANDS for action in parser._actions]


def words(parser: Parser, without: argparse.Action) -> list[str]:
    """The least that the parser asks for, without one of its options."""
    given: list[str] = []
    for action in parser._actions:
        if action is without or not (action.required or not action.option_strings):
            continue
        count = action.nargs if isinstance(action.nargs, int) else int(action.nargs != "?")
        value = str(next(iter(action.choices))) if action.choices else "1"
        given += [*action.option_strings[-1:], *[value] * count]
    return given


def named(cases: list[tuple[Any, ...]]) -> list[str]:
    return [f"{name} {(action.option_strings or [action.dest])[-1]}" for name, _, action in cases]


def test_help_fits_a_narrow_terminal_and_names_each_default(monkeypatch: pytest.MonkeyPatch):
    """Examples and formulas, which are indented, keep their lines."""
    monkeypatch.setenv("COLUMNS", "80")
    helps = {name: parser.format_help() for name, parser in COMMANDS}
    wide = [line for text in helps.values() for line in text.splitlines() if len(line) > 80]
    assert [line for line in wide if not line.startswith("  ")] == []
    unnamed = [
        f"{name} {action.option_strings[-1]}"
        for name, _, action in OPTIONS
        if action.option_strings
        and isinstance(action.default, (str, int, float, Path))
        and action.default not in ("", argparse.SUPPRESS)
        and not isinstance(action.default, bool)
        and "default" not in helps[name].rpartition(f"{action.option_strings[-1]} ")[2][:400]
    ]
    assert unnamed == []
    assert "log-spaced budgets (default: 1500)" in helps["envelope"]


NUMERIC = [each for each in OPTIONS if each[2].type in NUMBERS]
WRITTEN = [each for each in OPTIONS if each[2].type in OUTPUTS]


def test_no_option_takes_what_parses_as_a_float():
    assert len(COMMANDS) > 30 and len(NUMERIC) > 40 and len(WRITTEN) > 8
    assert not [
        name
        for name, each in zip(named(OPTIONS), OPTIONS, strict=True)
        if each[2].type in (int, float)
    ]


@pytest.mark.parametrize(("name", "parser", "action"), NUMERIC, ids=named(NUMERIC))
def test_a_bad_number_is_refused_by_its_option(name, parser, action, capsys):
    option = action.option_strings[-1]
    bad = ["nan", "inf", "1e999", "7X", ""]
    bad += ["-1", "1.5"] if action.type in (quantities.whole, quantities.count) else []
    for text in bad:
        values = [text] * (action.nargs if isinstance(action.nargs, int) else 1)
        assert main([*name.split(), *words(parser, action), option, *values]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith(f"error: {option} ") and printed.err.count("\n") == 1


@pytest.mark.parametrize(("name", "parser", "action"), WRITTEN, ids=named(WRITTEN))
def test_an_output_is_checked_before_the_work(name, parser, action, tmp_path, capsys):
    option = action.option_strings[-1]
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    wrong = {"a folder": "folder", "a file": "file"}[OUTPUTS[action.type]]
    for place in (wrong, "file/below", "file/deep/below"):
        assert main([*name.split(), *words(parser, action), option, str(tmp_path / place)]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith(f"error: {option} {tmp_path}") and printed.out == ""
        assert printed.err.count("\n") == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


def test_every_answer_has_json():
    lacking = {name for name, parser in COMMANDS if "--json" not in parser._option_string_actions}
    assert lacking == WORK
    rooms = [Path(inspect.getfile(import_module(f"{room}.cli"))).parent for room in ROOMS]
    texts = {file: file.read_text() for folder in rooms for file in folder.glob("*.py")}
    assert len(texts) > 40
    assert [file.name for file, text in texts.items() if re.search(r"\bprint\(", text)] == [
        "_common.py"
    ]


NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*[A-Za-z_])")
TABLE = ("--loss", "nats", "--params", "n", "--tokens", "d")
LONG = ("diagnose",)  # half a minute of profiles
ASKED = {
    "chain": [*TABLE, "--then-loss", "err", "--at", "params=7B,tokens=1T"],
    "compare": [*TABLE, "--law", "chinchilla", "--law", "chinchilla,beta=alpha"],
    "diagnose": [*TABLE, "--drop", "2", "--bootstrap", "20"],
    "fit": [
        *TABLE, "--holdout", "c>5e20", "--at", "params=7B,tokens=140B", "--bootstrap", "20",
    ],
    "gain": [*TABLE, "--a", "who==ours", "--b", "who==theirs", "--budget", "1e21"],
    "isoflop": [*TABLE, "--flops", "c", "--bootstrap", "20", "--at", "1e22"],
    "laws": [],
    "plan": [*TABLE, "--flops", "1e22", "--flops", "1e23", "--bootstrap", "20"],
    "recommend": ["--params", "1B", "--tokens", "100B"],
    "regions": [*TABLE, "--samples", "d"],
    "describe": ["quickstart"],
    "list": [],
    "status": ["quickstart"],
    "tpu estimate": ["quickstart", "--chip", "v5e", "--chips", "4"],
}  # fmt: skip


def leaves(found: Any) -> Iterator[Any]:
    """All values and names in a JSON value."""
    if isinstance(found, dict):
        found = [*found.keys(), *found.values()]
    if not isinstance(found, list):
        yield found
        return
    for each in found:
        yield from leaves(each)


def held(said: str, numbers: np.ndarray, texts: str) -> bool:
    """Tell if the JSON holds a number of the text, to the last digit shown; percent counts too."""
    if said in texts:
        return True
    shown = Decimal(said.replace(",", ""))
    half = 0.51 * 10.0 ** int(shown.as_tuple().exponent)
    off = np.abs(numbers[:, None] * (1, 100) - float(shown))
    return bool((off <= max(half, 6e-4 * abs(float(shown)))).any())


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two families of five budgets and seven sizes, and an error that follows the loss."""
    rng, parts = np.random.default_rng(0), []
    for who, low in (("ours", 1.7), ("theirs", 1.75)):
        truth = {"E": low, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.28}
        for flops in np.geomspace(1e18, 1e21, 5):
            size = float(laws.chinchilla.optimal(truth, flops)[0]) * np.exp(np.linspace(-1, 1, 7))
            tokens = flops / 6 / size
            loss = laws.chinchilla.predict(truth, params=size, tokens=tokens)
            loss = loss * np.exp(rng.normal(0, 1e-3, 7))
            err = 0.9 - 2 * np.exp(-0.6 * loss)
            parts.append(
                pd.DataFrame(
                    {"n": size, "d": tokens, "c": flops, "nats": loss, "err": err, "who": who}
                )
            )
    file = tmp_path_factory.mktemp("table") / "runs.csv"
    pd.concat(parts).to_csv(file, index=False)
    return str(file)


@pytest.mark.parametrize(
    "command",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in ASKED],
)
def test_json_holds_every_number_of_the_text(command, table, capsys):
    arguments = [*command.split(), *[table] * (TABLE[0] in ASKED[command]), *ASKED[command]]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    found = list(leaves(json.loads(capsys.readouterr().out)))
    numbers = np.array([each for each in found if isinstance(each, (int, float))], float)
    texts = "\n".join(each for each in found if isinstance(each, str))
    shown = NUMBER.findall(said)
    assert len(shown) > 4 or command == "list"
    assert not [each for each in dict.fromkeys(shown) if not held(each, numbers, texts)]
