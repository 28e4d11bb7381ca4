"""Weights as their makers describe them: letters, shape, role and place in the layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scaling.common.alphabet import parse

Role = Literal[
    "embedding", "position", "query", "hidden", "readout", "router", "fixed", "taps", "gain", "bias"
]


@dataclass(frozen=True)
class Weight:
    """One weight as its maker described it.

    Attributes:
        path: its place in the parameter tree, without the layer number.
        role: the key of every table of parametrizations.
        letters: its axes as "inputs->outputs", for example "d->hk"; a vector has no inputs. Of
            "e,d->f" each e is a separate matrix with its own fan-in.
        shape: one length per letter (the axis of stacked layers is not among them).
        layer: the layer, where layers are unrolled; the first of layers that a pattern of several
            blocks stacks; else None.
        stacked: length of a leading axis of layers, or 0.
    """

    path: str
    role: Role
    letters: str
    shape: tuple[int, ...]
    layer: int | None = None
    stacked: int = 0

    @property
    def fan_in(self) -> int:
        copies, inputs, _ = parse(self.letters)
        return math.prod(self.shape[len(copies) : len(copies + inputs)])

    @property
    def fan_out(self) -> int:
        copies, inputs, _ = parse(self.letters)
        return math.prod(self.shape[len(copies + inputs) :])

    @property
    def copies(self) -> int:
        """Number of its matrices in each layer."""
        return math.prod(self.shape[: len(parse(self.letters).copies)])

    @property
    def size(self) -> int:
        return math.prod(self.shape) * max(self.stacked, 1)

    def layers(self, depth: int) -> range:
        """The layers of a stacked weight, in a model of `depth` layers."""
        first = 0 if self.layer is None else self.layer
        blocks = 1 if self.layer is None else depth // self.stacked  # of the pattern
        return range(first, first + blocks * self.stacked, blocks)

    @property
    def in_block(self) -> bool:
        """True for a weight of a layer, scanned or unrolled."""
        return self.layer is not None or self.stacked > 0
