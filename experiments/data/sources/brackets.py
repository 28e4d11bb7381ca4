"""Open brackets and the ones that close them, innermost first: close ([{=}]).

`depth` brackets at most of `kinds` kinds, each uniform. A closed pair may stand between them. A
line leaves ln(depth) + n ln(kinds) nats open for n brackets, and as much for its pair.
"""

import math
from dataclasses import dataclass
from random import Random

from experiments.data.sources._generator import generator
from scaling.common.errors import UserError

OPEN, CLOSE = "([{<", ")]}>"


@dataclass(frozen=True)
class Settings:
    depth: int = 6  # at most
    kinds: int = 3
    lines: int = 64  # of a document
    documents: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.kinds <= 4 and self.depth >= 1):
            raise UserError("data.path: kinds must lie between 1 and 4, depth must be 1 or more")


def line(s: Settings, random: Random) -> tuple[str, str, float]:
    """A question, its answer, and the nats that the question leaves open."""
    kinds = [random.randrange(s.kinds) for _ in range(random.randint(1, s.depth))]
    pair, place = random.randrange(s.kinds), random.randint(0, len(kinds))
    opened = [OPEN[kind] for kind in kinds]
    opened.insert(place, OPEN[pair] + CLOSE[pair])
    nats = math.log(s.depth) + (len(kinds) + 1) * math.log(s.kinds) + math.log(len(kinds) + 1)
    return f"close {''.join(opened)}=", "".join(CLOSE[kind] for kind in reversed(kinds)), nats


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    lines = [line(s, random) for _ in range(s.lines)]
    return "".join(f"{a}{b}\n" for a, b, _ in lines), sum(nats for *_, nats in lines)


SOURCE = generator(Settings, lambda s: s.documents, document)
