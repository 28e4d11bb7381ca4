"""Products of two permutations of four, of four choices with two entries swapped."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.data.sources import permutations
from experiments.evaluation.items import Item
from experiments.evaluation.tasks._lines import items as lines
from experiments.evaluation.tasks._lines import swapped

SETTINGS = permutations.Settings()


def items() -> Iterator[Item]:
    return lines("permutations", SETTINGS, permutations.line, swapped)
