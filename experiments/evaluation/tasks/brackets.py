"""Open brackets to be closed, of four choices that differ in a bracket."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.data.sources import brackets
from experiments.evaluation.items import Item
from experiments.evaluation.tasks._lines import another_letter
from experiments.evaluation.tasks._lines import items as lines

SETTINGS = brackets.Settings()


def items() -> Iterator[Item]:
    wrong = another_letter(brackets.CLOSE[: SETTINGS.kinds])
    return lines("brackets", SETTINGS, brackets.line, wrong, verifier="balanced")
