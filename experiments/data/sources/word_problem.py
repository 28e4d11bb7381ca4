"""Words of permutations: letters move five objects, and an answer is the first one's place.

    b2a3a4b4a5                     an answer after each letter
    c=4bc=1acb=2                   words=3: after words of 1, 2 and 3 letters, from where it stood

"a" moves every object one place on, in a circle; "b" swaps the first two places. With swaps=1 each
letter swaps the first place with another: "a" with the second, "b" with the third. Either way
letters make all permutations (S5), whose word problem is complete for NC1: to follow a long word
takes a state. After each letter it takes none, for the answer before and one letter tell the next.
An answer leaves nothing open, and a letter ln(letters).
"""

import math
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase

from experiments.data.sources._generator import generator
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Settings:
    objects: int = 5
    letters: int = 60  # of a document
    documents: int = 20_000
    seed: int = 0
    words: int = 0  # of a document, instead of `letters`: of 1, 2, ... letters; 0: of one each
    swaps: int = 0  # 1: every letter swaps two places

    def __post_init__(self) -> None:
        if not 2 <= self.objects <= 9:
            raise UserError("data.path: objects must lie between 2 and 9")
        if self.swaps > 1:
            raise UserError("data.path: swaps must be 0 or 1")

    @property
    def moves(self) -> dict[str, list[int]]:
        """Of each letter the new places, by place."""
        places = range(self.objects)
        swaps = [
            [other if p == 0 else 0 if p == other else p for p in places]
            for other in (places[1:] if self.swaps else (1,))
        ]
        circle = [] if self.swaps else [[(p + 1) % self.objects for p in places]]
        return dict(zip(ascii_lowercase, circle + swaps, strict=False))


def document(s: Settings, k: int, random: Random) -> tuple[str, float]:
    moves, place, text = s.moves, 0, ""
    lengths = range(1, s.words + 1) if s.words else [1] * s.letters
    for length in lengths:
        word = random.choices(list(moves), k=length)
        for letter in word:
            place = moves[letter][place]
        text += "".join(word) + ("=" if s.words else "") + str(place + 1)
    return text, sum(lengths) * math.log(len(moves))


SOURCE = generator(Settings, lambda s: s.documents, document)
