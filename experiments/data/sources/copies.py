"""Words of random letters, said twice: copy qzkfw=qzkfw.

The length is uniform up to `length`, then each of its letters: ln(length) + n ln(letters) nats, and
the second time nothing.
"""

import math
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase

from experiments.data.sources._generator import generator
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Settings:
    length: int = 8  # at most
    letters: int = 26
    lines: int = 64  # of a document
    documents: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.letters <= 26 and self.length >= 1):
            raise UserError("data.path: letters must lie between 1 and 26, length must be positive")


def line(s: Settings, random: Random) -> tuple[str, str, float]:
    """A question, its answer, and the nats that the question leaves open."""
    n = random.randint(1, s.length)
    word = "".join(random.choice(ascii_lowercase[: s.letters]) for _ in range(n))
    return f"copy {word}=", word, math.log(s.length) + n * math.log(s.letters)


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    lines = [line(s, random) for _ in range(s.lines)]
    return "".join(f"{a}{b}\n" for a, b, _ in lines), sum(nats for *_, nats in lines)


SOURCE = generator(Settings, lambda s: s.documents, document)
