"""Equations in an order that can be computed: each node is the sum of two nodes before it.

    a=3 b=5 c=a+b:8 d=c+a:1

The first two nodes are given modulo 10, the others name two earlier nodes and then the sum. A line
of n nodes leaves 2 ln 10 + sum over k = 2 .. n - 1 of 2 ln k nats open, the sums none. In the
manner of Brevo (facebookresearch/PhysicsLM4, 7580696); the format is ours.
"""

import math
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase

from experiments.data.sources._generator import generator
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Settings:
    nodes: int = 10
    lines: int = 24  # of a document
    documents: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.nodes <= 26:
            raise UserError("data.path: nodes must lie between 2 and 26")


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    nats = 2 * math.log(10) + sum(2 * math.log(node) for node in range(2, s.nodes))
    return "".join(_line(s, random) for _ in range(s.lines)), s.lines * nats


def _line(s: Settings, random: Random) -> str:
    values = [random.randrange(10), random.randrange(10)]
    said = [f"a={values[0]}", f"b={values[1]}"]
    for name in ascii_lowercase[2 : s.nodes]:
        one, two = (random.randrange(len(values)) for _ in range(2))
        values.append((values[one] + values[two]) % 10)
        said.append(f"{name}={ascii_lowercase[one]}+{ascii_lowercase[two]}:{values[-1]}")
    return f"{' '.join(said)}\n"


SOURCE = generator(Settings, lambda s: s.documents, document)
