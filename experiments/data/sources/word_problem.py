"""Words of permutations: each letter moves five objects, and after it comes the first one's place.

    b2a3a4b4a5

"a" moves every object one place on, in a circle; "b" swaps the first two places. Both together make
all permutations (S5), whose word problem is complete for NC1: to follow it takes a state. A letter
leaves ln 2 nats open, and its answer none.
"""

import math
from dataclasses import dataclass
from random import Random

from experiments.data.sources._generator import generator
from scaling.common.errors import UserError

LETTERS = "ab"


@dataclass(frozen=True)
class Settings:
    objects: int = 5
    letters: int = 60  # of a document
    documents: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.objects <= 9:
            raise UserError("data.path: objects must lie between 2 and 9")


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    place, text = 0, ""
    for letter in random.choices(LETTERS, k=s.letters):
        if letter == "a":
            place = (place + 1) % s.objects
        elif place < 2:
            place = 1 - place
        text += f"{letter}{place + 1}"
    return text, s.letters * math.log(len(LETTERS))


SOURCE = generator(Settings, lambda s: s.documents, document)
