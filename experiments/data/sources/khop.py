"""Walks on a random permutation: a list of edges, then questions of k steps with their answers.

    c>f a>c f>a | a2f c1f

asks for the node two steps after a. The edges are a uniform permutation in a uniform order, which
leaves 2 ln(nodes!) nats open; a question leaves ln(nodes) + ln(hops), and its answer none. In the
manner of Depo (facebookresearch/PhysicsLM4, 7580696); the format is ours.
"""

import math
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase

from experiments.data.sources._generator import generator
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Settings:
    nodes: int = 8
    hops: int = 4
    questions: int = 16
    puzzles: int = 8  # of a document
    documents: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.nodes <= 26 and 1 <= self.hops <= 9):
            raise UserError("data.path: nodes must lie between 1 and 26, hops between 1 and 9")


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    return "".join(puzzle(s, random) for _ in range(s.puzzles)), s.puzzles * _open_nats(s)


def nodes(s: Settings) -> str:
    """The letters of the nodes."""
    return ascii_lowercase[: s.nodes]


def puzzle(s: Settings, random: Random) -> str:
    """A line: edges, and questions with their answers."""
    known = nodes(s)
    after = dict(zip(known, random.sample(known, s.nodes), strict=True))
    edges = " ".join(f"{a}>{after[a]}" for a in random.sample(known, s.nodes))
    asked = []
    for _ in range(s.questions):
        start, hops = random.choice(known), random.randint(1, s.hops)
        end = start
        for _ in range(hops):
            end = after[end]
        asked.append(f"{start}{hops}{end}")
    return f"{edges} | {' '.join(asked)}\n"


def _open_nats(s: Settings) -> float:
    return 2 * math.lgamma(s.nodes + 1) + s.questions * math.log(s.nodes * s.hops)


SOURCE = generator(Settings, lambda s: s.documents, document)
