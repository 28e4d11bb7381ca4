"""Sums and products of two numbers modulo 13, of four choices."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from experiments.data.sources import arithmetic
from experiments.evaluation.items import Item
from experiments.evaluation.tasks._lines import items as lines

SETTINGS = arithmetic.Settings(terms=2)


def items() -> Iterator[Item]:
    return lines("modular", SETTINGS, arithmetic.line, _another)


def _another(answer: str, random: Random) -> str:
    return str(random.randrange(SETTINGS.modulus))
