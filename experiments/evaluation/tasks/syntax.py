"""The next bracket, colon, comma or operator of a line of Python, of four choices.

The lines are of held-out files of the standard library; wrong choices are other marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from experiments.evaluation.items import Item
from experiments.evaluation.tasks._python import COUNT, places

MARKS = ("(", ")", ":", ",", ".", "=", "[", "]")
MARK = re.compile("|".join(map(re.escape, MARKS)))
CHOICES, LETTERS = 4, 60  # of a prompt, at most


def items() -> Iterator[Item]:
    made = 0
    for before, line, random in places("syntax"):
        found = list(MARK.finditer(line))
        if "#" in line or '"' in line or "'" in line or not found:
            continue
        mark = random.choice(found)
        prompt = (before + line[: mark.start()])[-LETTERS:]
        others = random.sample([each for each in MARKS if each != mark[0]], CHOICES - 1)
        choices = random.sample([mark[0], *others], CHOICES)
        yield Item(f"syntax/{made}", prompt, tuple(choices), choices.index(mark[0]))
        made += 1
        if made == COUNT:
            return
