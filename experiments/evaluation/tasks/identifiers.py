"""The next name of a line of Python, of four that are as long or nearly so.

The lines are of held-out files of the standard library. Wrong choices are names of other held-out
files; the right one is not a keyword.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from itertools import islice

from experiments.evaluation.items import Item
from experiments.evaluation.tasks._python import COUNT, places

NAME = re.compile(r"(?<=[ (.,=\[])[a-z_][a-z_0-9]{2,}\b")
CHOICES, LETTERS = 4, 60  # of a prompt, at most
POOL = 4000  # lines whose names are the wrong choices


def items() -> Iterator[Item]:
    pool = sorted({m[0] for _, line, _ in islice(places("names"), POOL) for m in _names(line)})
    made = 0
    for before, line, random in places("identifiers"):
        found = _names(line)
        if not found:
            continue
        name = random.choice(found)
        near = [other for other in pool if abs(len(other) - len(name[0])) < 2 and other != name[0]]
        if len(near) < CHOICES - 1:
            continue
        choices = random.sample([name[0], *random.sample(near, CHOICES - 1)], CHOICES)
        prompt = (before + line[: name.start()])[-LETTERS:]
        yield Item(f"identifiers/{made}", prompt, tuple(choices), choices.index(name[0]))
        made += 1
        if made == COUNT:
            return


def _names(line: str) -> list[re.Match[str]]:
    """The names of a line without strings and comments."""
    if "#" in line or '"' in line or "'" in line:
        return []
    return [match for match in NAME.finditer(line) if not keyword.iskeyword(match[0])]
