"""Words of random letters to be said again, of four choices that differ in a letter."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_lowercase

from experiments.data.sources import copies
from experiments.evaluation.items import Item
from experiments.evaluation.tasks._lines import another_letter
from experiments.evaluation.tasks._lines import items as lines

SETTINGS = copies.Settings()


def items() -> Iterator[Item]:
    return lines("copies", SETTINGS, copies.line, another_letter(ascii_lowercase))
