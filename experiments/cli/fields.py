"""Explain the fields of a run: meaning, unit, default, values.

A name, or a part of one, shows the fields that hold it: optimizer, rate, model.width, lr.

examples:
  windtunnel fields
  windtunnel fields optimizer.learning_rate
"""

from __future__ import annotations

import argparse
from typing import Any

from scaling.common.answers import Answer, Rows, Shown
from scaling.common.command_line import Parser
from scaling.common.errors import UserError


def add(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", default="", help="a field, or a part of its name")


def run(options: argparse.Namespace) -> Answer:
    from experiments.config.meanings import meanings
    from experiments.config.overrides import ALIASES, meant, paths

    wanted = ALIASES.get(options.name, options.name)
    found = [each for each in meanings() if wanted in each.field]
    if not found:
        raise UserError(f"{wanted}: no field has this in its name; {meant(wanted, paths())}")
    alias = {path: f"{path}, {name}" for name, path in ALIASES.items()}
    rows = [
        [
            Shown(each.field, alias.get(each.field, each.field)),
            Shown(each.default, _text(each.default)),
            each.unit,
            each.range,
            each.text,
        ]
        for each in found
    ]
    yield Rows("fields", ("field", "default", "unit", "values", "meaning"), rows, left=5)
    return 0


def _text(default: Any) -> str:
    """A default as --set takes it."""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
