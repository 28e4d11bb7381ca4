"""Nodes one or two steps along a list of edges, of four choices."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from experiments.data.sources import khop
from experiments.evaluation.items import Item
from experiments.evaluation.tasks._lines import CHOICES, COUNT

SETTINGS = khop.Settings(nodes=6, hops=2, questions=8)


def items() -> Iterator[Item]:
    for k in range(COUNT):
        random = Random(f"items/khop/{k}")
        puzzle = khop.puzzle(SETTINGS, random).rstrip("\n")
        prompt, answer = puzzle[:-1], puzzle[-1]
        others = random.sample([node for node in khop.nodes(SETTINGS) if node != answer], CHOICES)
        choices = [answer, *others[: CHOICES - 1]]
        random.shuffle(choices)
        ended = tuple(f"{choice}\n" for choice in choices)
        yield Item(f"khop/{k}", prompt, ended, choices.index(answer), verifier="first_line")
