"""The share of one device in a run under a settled layout: parameters, tokens, layers.

Letters: `scaling.common.alphabet`; `scaling.machines.placement` says which of them are split. A
letter that does not divide is an error there.
"""

from __future__ import annotations

from collections.abc import Sequence

from scaling.common.alphabet import parse
from scaling.counting.formulas import vectors
from scaling.counting.parts import Counts, Dims
from scaling.machines.layout import Layout
from scaling.machines.placement import ARRAYS, WEIGHTS_USED, local, split


def share(whole: int, ways: int) -> int:
    """The largest of `ways` parts."""
    return -(-whole // ways)


def vocab(s: Dims, layout: Layout) -> int:
    """Rows of the embedding, and columns of the logits."""
    return local(WEIGHTS_USED, layout, {"v": s.vocab})


def layers(s: Dims, layout: Layout) -> int:
    """Layers that the device works on."""
    return share(s.layers, layout.sizes["stage"])


def weight(s: Dims, part: Counts, letters: str, layout: Layout) -> int:
    """Numbers of one matrix as it is used: whole along fsdp."""
    lengths = s.lengths(part)
    used = {letter: lengths[letter] for letter in parse(letters).axes}
    return local(WEIGHTS_USED, layout, used)


def arrays(s: Dims, part: Counts, letters: Sequence[str], layout: Layout) -> int:
    """Numbers of these activations, for one token."""
    lengths = s.lengths(part)
    return sum(local(ARRAYS, layout, {x: lengths[x] for x in each}) for each in letters)


def sums_over_tensor(s: Dims, part: Counts, layout: Layout) -> bool:
    """True where the part's output is a sum over devices of the tensor axis."""
    lengths = s.lengths(part)
    for copies, inputs, _ in map(parse, part.weights):
        axes = split(WEIGHTS_USED, layout, {letter: lengths[letter] for letter in copies + inputs})
        if any("tensor" in axes[letter] for letter in inputs):
            return True
    return False


def is_ring(attention: str, part: Counts) -> bool:
    """True where the part's keys and values go round; else every device gathers all of them."""
    return attention == "ring" and bool(part.striped)


def over_layers(s: Dims, layout: Layout, of_a_repeat: int) -> int:
    """The sum over the device's layers of the values of one repeat of the pattern."""
    return layers(s, layout) * of_a_repeat // len(s.blocks)


def params_blocks(s: Dims, layout: Layout) -> int:
    """Parameters in the layers, as they are used: whole along fsdp; all gains and biases too."""
    own = sum(
        s.stored(part) * weight(s, part, letters, layout)
        for part in s.parts
        for letters in part.weights
    )
    return share(own, layout.sizes["stage"]) + share(vectors(s), layout.sizes["stage"])


def params_experts(s: Dims, layout: Layout) -> int:
    """Parameters in matrices of experts, which no other device along the expert axis has."""
    found = (
        s.stored(part) * weight(s, part, letters, layout)
        for part in s.parts
        for letters in part.weights
        if "e" in parse(letters).copies
    )
    return share(sum(found), layout.sizes["stage"])


def params_ends(s: Dims, layout: Layout) -> int:
    """Parameters in embedding, position table and readout, whole along fsdp."""
    return ((2 - s.tied) * vocab(s, layout) + s.positions) * s.width


def tokens(s: Dims, sequences: int, layout: Layout) -> int:
    """Tokens of these sequences."""
    return share(sequences, layout.batch_ways) * share(s.context, layout.sizes["sequence"])
