"""Counts of a model, part by part: a mixer or a feed-forward lists its arrays by letters.

Letters: `scaling.common.alphabet`. Sums over parts are `scaling.counting.formulas`; the share of
one device is `scaling.machines.per_device`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from scaling.common.alphabet import parse


@dataclass(frozen=True)
class Counts:
    """One part of one layer. Every FLOP count is forward and per token, two per multiply-add.

    Attributes:
        name: of the part in tables by part, such as "attention".
        weights: letters of every matrix, such as "d->hk"; "e,d->f" is one matrix for each e.
        vectors: gains and biases, counted one by one.
        vectors_idle: of those, the ones that a token does not meet.
        copies_active: of the copies of a matrix, those that a token meets, in the mean.
        flops_mixing: matrix products of activations with activations, masked entries included.
        flops_mixing_causal: the same, without the entries that a causal mask leaves out.
        flops_softmax: as the appendix F of Hoffmann et al. 2022 counts it.
        state: arrays that one sequence keeps between two tokens when it is generated.
        kept: arrays of a token that the backward pass reads.
        kept_of_kernel: further ones, by the kernel that runs (`Step.attention`).
        kept_dots: of `kept`, outputs of products with weights that are kept under remat "dots".
        gathered: arrays of a token that every device needs of the whole sequence.
        striped: arrays that a ring over the sequence's devices lays out anew, in place of that.
        slots: of a sequence, sent to the devices of the experts and back; 0: tokens stay. `kept` is
            then of a slot.
        rows: of these slots the most that hold a token: all that grouped products have.
        letters: lengths of letters that are this part's alone.
        share: of the tokens, those that the part is applied to; its S has their slots.
        stored: "before" where an earlier layer, which is listed too, stores its weights.
    """

    name: str
    weights: tuple[str, ...] = ()
    vectors: int = 0
    vectors_idle: int = 0
    copies_active: float = 0
    flops_mixing: int = 0
    flops_mixing_causal: int = 0
    flops_softmax: int = 0
    state: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    kept_of_kernel: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept_dots: tuple[str, ...] = ()
    gathered: tuple[str, ...] = ()
    striped: tuple[str, ...] = ()
    slots: int = 0
    rows: int = 0
    letters: Mapping[str, int] = field(default_factory=dict)
    share: float = 1.0
    stored: Literal["here", "before"] = "here"

    def of_some(self, slots: int, tokens: int, context: int, again: bool) -> Counts:
        """Of a part counted for `slots` positions, the same for some tokens of a sequence.

        Products without weights, and all that has S, are of the slots.
        """
        return replace(
            self,
            flops_mixing=round(self.flops_mixing * slots / context),
            flops_mixing_causal=round(self.flops_mixing_causal * slots / context),
            flops_softmax=round(self.flops_softmax * slots / context),
            letters={**self.letters, "S": slots},
            share=tokens / context,
            stored="before" if again else "here",
        )

    def factored(
        self, lengths: Mapping[str, int], rank: int, support: Callable[[int], int]
    ) -> Counts:
        """Of a part of dense matrices, the same with A B + S in place of each.

        Products are with A, with B and with all of S, whose entries count with the vectors.

        Args:
            support: columns of S to its entries in each row.
        """
        lengths = {**lengths, **self.letters}
        sides = [parse(letters)[1:] for letters in self.weights]
        shapes = [[math.prod(lengths[each] for each in side) for side in pair] for pair in sides]
        products = sum(2 * rows * columns for rows, columns in shapes)
        return replace(
            self,
            weights=tuple(text for i, o in sides for text in (f"{i}->l", f"l->{o}")),
            vectors=self.vectors + sum(rows * support(columns) for rows, columns in shapes),
            flops_mixing=self.flops_mixing + products,
            flops_mixing_causal=self.flops_mixing_causal + products,
            kept=(*self.kept, *("l",) * len(sides)),
            letters={**self.letters, "l": rank},
        )


@dataclass(frozen=True)
class Dims:
    """The sizes of a decoder-only model, all that counting needs.

    Attributes:
        tied: 1 where the embedding is the readout, else 0.
        positions: rows of a learned position table, else 0.
        vectors: gains and biases outside of the layers.
        letters: lengths of the letters of its parts, besides d, v and S.
        blocks: the parts of each layer of the pattern, which is repeated over the depth.
        layers_unique: layers with weights of their own; the others use theirs again.
        apart: names of parts with weights of their own in every layer nonetheless.
        once: names of parts whose weights are the same in all layers that have them.
    """

    layers: int
    width: int
    vocab: int
    context: int
    tied: int
    positions: int
    vectors: int
    letters: Mapping[str, int]
    blocks: tuple[tuple[Counts, ...], ...]
    layers_unique: int
    apart: tuple[str, ...]
    once: tuple[str, ...] = ()

    @property
    def repeats(self) -> int:
        """Repeats of the pattern."""
        return self.layers // len(self.blocks)

    def stored(self, part: Counts) -> int:
        """Copies of a part of the pattern whose weights are stored."""
        if part.name in self.once:
            return int(part is next(each for each in self.parts if each.name == part.name))
        if len(self.blocks) == self.layers:
            return int(part.stored == "here")
        layers = self.layers if part.name in self.apart else self.layers_unique
        return layers // len(self.blocks)

    @property
    def parts(self) -> Iterator[Counts]:
        """The parts of one repeat."""
        return (part for block in self.blocks for part in block)

    def held(self, part: Counts) -> float:
        """The share of positions for which a part has arrays: its slots, or all."""
        return self.lengths(part)["S"] / self.context

    def lengths(self, part: Counts) -> dict[str, int]:
        """The length of every letter that a part may use."""
        ends = {"d": self.width, "v": self.vocab, "S": self.context}
        return {**ends, **self.letters, **part.letters}


def numbers(s: Dims, part: Counts, letters: str) -> int:
    """Numbers of an array of these letters."""
    lengths = s.lengths(part)
    return math.prod(lengths[letter] for letter in letters)


def weights_total(s: Dims, part: Counts) -> int:
    """Numbers in all matrices of a part."""
    return sum(numbers(s, part, parse(letters).axes) for letters in part.weights)


def weights_active(s: Dims, part: Counts) -> int:
    """Numbers in the matrices of a part that multiply a token."""
    found = 0
    for copies, inputs, outputs in map(parse, part.weights):
        met = part.copies_active if copies else 1
        found += round(numbers(s, part, inputs + outputs) * met * part.share)
    return found
