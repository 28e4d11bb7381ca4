"""Sums and products modulo a number, with their answers: 3*5+2=4 (mod 13).

An expression of `terms` numbers is read from left to right without precedence. All but the answer
is drawn uniformly, so a line leaves terms ln(modulus) + (terms - 1) ln 2 nats open, and the answer
none. In the manner of Mano (facebookresearch/PhysicsLM4, 7580696); the format is ours.
"""

import math
from dataclasses import dataclass
from random import Random

from experiments.data.sources._generator import generator


@dataclass(frozen=True)
class Settings:
    modulus: int = 13
    terms: int = 3
    lines: int = 64  # of a document
    documents: int = 20_000
    seed: int = 0


def line(s: Settings, random: Random) -> tuple[str, str, float]:
    """A question, its answer, and the nats that the question leaves open."""
    value = random.randrange(s.modulus)
    text = str(value)
    for _ in range(s.terms - 1):
        term = random.randrange(s.modulus)
        sign = random.choice("+*")
        value = (value + term if sign == "+" else value * term) % s.modulus
        text += f"{sign}{term}"
    return f"{text}=", str(value), s.terms * math.log(s.modulus) + (s.terms - 1) * math.log(2)


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    lines = [line(s, random) for _ in range(s.lines)]
    return "".join(f"{a}{b}\n" for a, b, _ in lines), sum(nats for *_, nats in lines)


SOURCE = generator(Settings, lambda s: s.documents, document)
