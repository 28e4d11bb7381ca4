"""Runs of straight-line programs: run b=3;a=(b+4)%10;b=(a*2)%10;b>4.

Every statement takes a variable that has a value, an operator and a digit, and the program ends in
the variable that is asked for. It is Python, and its run leaves nothing open. All choices are
uniform: the program leaves the sum of the logs of their numbers open.
"""

import math
from dataclasses import dataclass
from random import Random

from experiments.data.sources._generator import generator
from scaling.common.errors import UserError

NAMES, OPERATORS = "abc", "+-*"


@dataclass(frozen=True)
class Settings:
    statements: int = 3
    lines: int = 48  # of a document
    documents: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.statements <= 9:
            raise UserError("data.path: statements must lie between 1 and 9")


def line(s: Settings, random: Random) -> tuple[str, str, float]:
    """A program, the value of the variable asked for, and the nats that the program leaves open."""
    name, value = random.choice(NAMES), random.randrange(10)
    values, text = {name: value}, [f"{name}={value}"]
    nats = math.log(len(NAMES)) + math.log(10)
    for _ in range(s.statements - 1):
        name, operator, digit = (
            random.choice(NAMES), random.choice(OPERATORS), random.randint(1, 9)
        )  # fmt: skip
        known = random.choice(sorted(values))
        nats += math.log(len(NAMES) * len(OPERATORS) * 9 * len(values))
        old = values[known]
        values[name] = {"+": old + digit, "-": old - digit, "*": old * digit}[operator] % 10
        text.append(f"{name}=({known}{operator}{digit})%10")
    asked = random.choice(sorted(values))
    nats += math.log(len(values))
    return f"run {';'.join(text)};{asked}>", str(values[asked]), nats


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    lines = [line(s, random) for _ in range(s.lines)]
    return "".join(f"{a}{b}\n" for a, b, _ in lines), sum(nats for *_, nats in lines)


SOURCE = generator(Settings, lambda s: s.documents, document)
