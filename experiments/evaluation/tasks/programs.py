"""Values of straight-line programs of three statements, of four choices: small code is run."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.data.sources import programs
from experiments.evaluation.items import Item
from experiments.evaluation.tasks._lines import another_digit
from experiments.evaluation.tasks._lines import items as lines

SETTINGS = programs.Settings()


def items() -> Iterator[Item]:
    return lines("programs", SETTINGS, programs.line, another_digit)
