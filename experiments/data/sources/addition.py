"""Sums of two numbers of up to `digits` digits: add 47+85=132.

The length of each number is uniform, then its digits, the first of which is not 0 unless alone. A
line leaves 2 ln(digits) + ln of both numbers' choices open, and the sum nothing.
"""

import math
from dataclasses import dataclass
from random import Random

from experiments.data.sources._generator import generator


@dataclass(frozen=True)
class Settings:
    digits: int = 2  # at most
    lines: int = 64  # of a document
    documents: int = 20_000
    seed: int = 0


def line(s: Settings, random: Random) -> tuple[str, str, float]:
    """A question, its answer, and the nats that the question leaves open."""
    numbers, nats = [], 0.0
    for _ in range(2):
        digits = random.randint(1, s.digits)
        low = 10 ** (digits - 1) if digits > 1 else 0
        numbers.append(random.randrange(low, 10**digits))
        nats += math.log(s.digits) + math.log(10**digits - low)
    return f"add {numbers[0]}+{numbers[1]}=", str(sum(numbers)), nats


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    lines = [line(s, random) for _ in range(s.lines)]
    return "".join(f"{a}{b}\n" for a, b, _ in lines), sum(nats for *_, nats in lines)


SOURCE = generator(Settings, lambda s: s.documents, document)
