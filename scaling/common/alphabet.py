"""One alphabet for the axes of every array: of weights, of activations and of jaxtyping's shapes.

The letters of a weight are written "copies,inputs->outputs"; those of an activation side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

ALPHABET: Mapping[str, str] = {
    "L": "layers of a stack",
    "B": "sequences of a batch or of a microbatch",
    "T": "positions, of queries",
    "W": "tokens of a window, T + 1",
    "S": "positions, of keys",
    "C": "slots of an expert",
    "N": "slots of all experts",
    "n": "heads of all sequences, stacked",
    "d": "width of the residual stream",
    "h": "query heads",
    "g": "key-value heads",
    "i": "query heads of one key-value head",
    "k": "size of a head",
    "w": "size of a value of a head, where it is not k",
    "f": "feed-forward width",
    "v": "vocabulary",
    "t": "rows of a position table",
    "e": "experts, where their weights are",
    "r": "experts, to choose from",
    "a": "experts of a token",
    "x": "experts of a head",
    "q": "constant experts",
    "m": "terms of a constant expert, or gates of a recurrent router",
    "z": "heads and their experts, side by side",
    "c": "taps of a convolution",
    "p": "positions of a chunk",
    "s": "numbers of a recurrent state",
    "y": "numbers of a router's state",
    "u": "recursions, to choose from",
    "l": "rank of a product of two matrices",
    "j": "entries of a row of a sparse matrix",
}


class Letters(NamedTuple):
    """The three sides of "copies,inputs->outputs"; most weights have no copies: "d->hk"."""

    copies: str
    inputs: str
    outputs: str

    @property
    def axes(self) -> str:
        return "".join(self)


def parse(letters: str) -> Letters:
    """The letters of a weight, side by side."""
    copies, _, matrix = letters.rpartition(",")
    return Letters(copies, *matrix.split("->"))
