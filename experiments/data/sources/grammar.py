"""Sentences of a random context-free grammar of `levels` levels, all derivations unambiguous.

Each symbol of a level has `choices` right-hand sides of `length` symbols of the level below,
uniformly chosen; the lowest symbols are letters. No right-hand side stands twice at a level, so a
sentence has one derivation, and leaves ln(choices) for each of its inner nodes. In the manner of
Lano (facebookresearch/PhysicsLM4, 7580696); the rules are ours.
"""

import math
import random as rng
from dataclasses import dataclass
from functools import cache
from string import ascii_lowercase

from experiments.data.sources._generator import generator
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Settings:
    levels: int = 4
    symbols: int = 4  # of a level
    choices: int = 3  # right-hand sides of a symbol
    length: int = 3  # symbols of a right-hand side
    sentences: int = 16  # of a document
    documents: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.symbols <= 26 and 1 <= self.levels <= 8 and self.length >= 1):
            raise UserError("data.path: symbols must lie between 1 and 26, levels from 1 to 8")
        if self.symbols * self.choices > self.symbols**self.length:
            raise UserError(
                f"data.path: {self.symbols} symbols have {self.symbols**self.length} right-hand "
                f"sides of length {self.length}, {self.symbols * self.choices} are needed; raise "
                "length, or lower choices"
            )


@cache
def rules(s: Settings) -> tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]:
    """The right-hand sides of each symbol of each level, from the top down."""
    random = rng.Random(f"{s.seed}/rules")
    found = []
    for _ in range(s.levels):
        drawn = random.sample(range(s.symbols**s.length), s.symbols * s.choices)
        sides = [tuple(n // s.symbols**i % s.symbols for i in range(s.length)) for n in drawn]
        found.append(
            tuple(tuple(sides[i * s.choices : (i + 1) * s.choices]) for i in range(s.symbols))
        )
    return tuple(found)


def document(s: Settings, k: int, random: rng.Random) -> tuple[str, float]:
    inner = sum(s.length**level for level in range(s.levels))
    nats = s.sentences * (math.log(s.symbols) + inner * math.log(s.choices))
    return "".join(f"{_sentence(s, random)}\n" for _ in range(s.sentences)), nats


def _sentence(s: Settings, random: rng.Random) -> str:
    symbols = [random.randrange(s.symbols)]
    for level in rules(s):
        symbols = [below for each in symbols for below in random.choice(level[each])]
    return "".join(ascii_lowercase[each] for each in symbols)


SOURCE = generator(Settings, lambda s: s.documents, document)
