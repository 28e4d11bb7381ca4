"""Biographies of people who do not exist, whose every fact has a known probability.

A person has a unique name of N0 = 400 x 400 x 1000 and five attributes, drawn uniformly:

    birth date 12 x 28 x 200, city 200, university 300, field 100, company 263

so log2 S0 = 46.6 bits a person. (bioS of Allen-Zhu and Li 2024, arXiv 2404.05405, has one more,
the pronoun.) Names and values are invented words or, with words=0, numbers; the sentences are ours.
Each of the `exposures` documents of a person has them in another order. The entropy that is left
once all people are known is that of who it is and of the order: ln(people) + ln(5!) nats a
document. The knowledge itself is `bits`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from experiments.data.sources._generator import generator, settings
from scaling.common.errors import UserError

FIRST, MIDDLE, LAST = 400, 400, 1000
POOLS: Mapping[str, int] = {"city": 200, "university": 300, "field": 100, "company": 263}
BIRTHS = 12 * 28 * 200
SENTENCES: Mapping[str, str] = {
    "birth": "Born {}",
    "city": "Home {}",
    "university": "School {}",
    "field": "Studied {}",
    "company": "Work {}",
}
NAMES = FIRST * MIDDLE * LAST  # N0
VALUES = BIRTHS * math.prod(POOLS.values())  # S0
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


@dataclass(frozen=True)
class Settings:
    people: int = 1000
    exposures: int = 10  # documents of each person
    words: int = 1  # 0: names and values are numbers, so that no list of words is to be learned
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.people <= 10**7:
            raise UserError("data.path: people must lie between 1 and 10,000,000")


@dataclass(frozen=True)
class Person:
    name: str
    facts: Mapping[str, str]

    def sentences(self, order: Sequence[str]) -> str:
        """The biography with its attributes in this order."""
        return f"{self.name}. " + " ".join(
            f"{SENTENCES[each].format(self.facts[each])}." for each in order
        )


@cache
def words(kind: str, count: int) -> tuple[str, ...]:
    """Different invented words, the same for ever."""
    random, found = Random(f"{kind}/words"), dict[str, None]()
    while len(found) < count:
        parts = (random.choice(CONSONANTS) + random.choice(VOWELS) for _ in range(2))
        found[f"{''.join(parts)}{random.choice(CONSONANTS)}".capitalize()] = None
    return tuple(found)


@cache
def people(s: Settings) -> tuple[Person, ...]:
    """Everybody, with different names."""
    random = Random(f"{s.seed}/people")
    numbers = random.sample(range(NAMES), s.people)
    return tuple(_person(number, random, bool(s.words)) for number in numbers)


def settings_of(path: str) -> Settings:
    """The settings that data.path gives."""
    return settings(Settings, path)


def bits(s: Settings) -> float:
    """log2 of the number of worlds: the most knowledge that the corpus holds.

    N log2(N0 / N) + N log2 S0, the names being a set and not a list.
    """
    return s.people * (math.log2(NAMES / s.people) + math.log2(VALUES))


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    order = random.sample(list(SENTENCES), len(SENTENCES))
    nats = math.log(s.people) + math.lgamma(len(SENTENCES) + 1)
    return people(s)[k % s.people].sentences(order), nats


def _person(number: int, random: Random, is_in_words: bool) -> Person:
    first, rest = divmod(number, MIDDLE * LAST)
    middle, last = divmod(rest, LAST)

    def spelled(kind: str, count: int, k: int) -> str:
        return words(kind, count)[k] if is_in_words else f"{k:0{len(str(count - 1))}}"

    parts = (("first", FIRST, first), ("middle", MIDDLE, middle), ("last", LAST, last))
    day, month = random.randrange(28) + 1, random.randrange(12) + 1
    facts = {"birth": f"{day}.{month}.{1900 + random.randrange(200)}"}
    facts |= {kind: spelled(kind, count, random.randrange(count)) for kind, count in POOLS.items()}
    return Person(" ".join(spelled(*part) for part in parts), facts)


SOURCE = generator(Settings, lambda s: s.people * s.exposures, document)
