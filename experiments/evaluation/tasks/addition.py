"""Sums of two numbers of up to two digits, of four choices that differ in a digit."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.data.sources import addition
from experiments.evaluation.items import Item
from experiments.evaluation.tasks._lines import another_digit
from experiments.evaluation.tasks._lines import items as lines

SETTINGS = addition.Settings()


def items() -> Iterator[Item]:
    return lines("addition", SETTINGS, addition.line, another_digit)
