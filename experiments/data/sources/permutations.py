"""Products of two permutations, the right one first: perm 2143*3412=4321.

Both are uniform, which leaves 2 ln(size!) nats open, and the product nothing: position i of the
product is the left one at the right one's entry i.
"""

import math
from dataclasses import dataclass
from random import Random

from experiments.data.sources._generator import generator
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Settings:
    size: int = 4
    lines: int = 64  # of a document
    documents: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.size <= 9:
            raise UserError("data.path: size must lie between 2 and 9")


def line(s: Settings, random: Random) -> tuple[str, str, float]:
    """A question, its answer, and the nats that the question leaves open."""
    left, right = (random.sample(range(s.size), s.size) for _ in range(2))
    a, b, product = (
        "".join(str(entry + 1) for entry in each)
        for each in (left, right, [left[entry] for entry in right])
    )
    return f"perm {a}*{b}=", product, 2 * math.lgamma(s.size + 1)


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    lines = [line(s, random) for _ in range(s.lines)]
    return "".join(f"{a}{b}\n" for a, b, _ in lines), sum(nats for *_, nats in lines)


SOURCE = generator(Settings, lambda s: s.documents, document)
