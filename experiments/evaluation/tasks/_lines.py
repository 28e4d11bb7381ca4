"""Items made of a generator's lines: some with their answers, then one to be answered.

The lines before tell the kind of line, as in a training document. Wrong choices are answers of
other questions that are as long, and changes of the right one where there are too few. Items are
drawn under a seed that no training document has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import TypeVar

from experiments.evaluation.items import Item

COUNT, CHOICES, BEFORE = 256, 4, 2
ATTEMPTS = 2000

S = TypeVar("S")
Line = Callable[[S, Random], tuple[str, str, float]]


def items(
    name: str, settings: S, line: Line[S], wrong: Callable[[str, Random], str],
    verifier: str = "first_line",
) -> Iterator[Item]:  # fmt: skip
    """`COUNT` items of these settings; `wrong` changes a right answer into another of its length.

    Every choice ends its line, so that none is the beginning of another.
    """
    for k in range(COUNT):
        random = Random(f"items/{name}/{k}")
        before = "".join("".join(line(settings, random)[:2]) + "\n" for _ in range(BEFORE))
        asked, answer, _ = line(settings, random)
        choices = {answer: None}
        for _ in range(ATTEMPTS):
            if len(choices) == CHOICES:
                break
            choices[wrong(answer, random)] = None
        order = random.sample(list(choices), len(choices))
        yield Item(
            f"{name}/{k}", before + asked, tuple(f"{choice}\n" for choice in order),
            order.index(answer), verifier=verifier,
        )  # fmt: skip


def another_digit(answer: str, random: Random) -> str:
    """The number with one digit changed, and no leading 0."""
    place = random.randrange(len(answer))
    low = "123456789" if place == 0 and len(answer) > 1 else "0123456789"
    return answer[:place] + random.choice(low) + answer[place + 1 :]


def another_letter(letters: str) -> Callable[[str, Random], str]:
    """A change of one letter into another of these."""

    def wrong(answer: str, random: Random) -> str:
        place = random.randrange(len(answer))
        return answer[:place] + random.choice(letters) + answer[place + 1 :]

    return wrong


def swapped(answer: str, random: Random) -> str:
    """Two letters in each other's place."""
    letters = list(answer)
    i, j = random.randrange(len(letters)), random.randrange(len(letters))
    letters[i], letters[j] = letters[j], letters[i]
    return "".join(letters)
