"""Bytes that training takes on one device, term by term, before anything is compiled.

Letters as in `scaling.counting.formulas`, of what one device has of them under a layout
(`scaling.machines.per_device`); N its parameters, whole along fsdp, Z its part of them along fsdp,
n its tokens of one microbatch. Alone it has all, and Z = N. Parameters, moments and gradients are
float32; activations are what the backward pass reads again, in `compute_bytes`. The terms are added
as if all were there at once. In truth gradients grow while activations are given back, so the sum
is above what a compiler needs, the more the larger the model is beside its microbatch;
tests/scaling/machines/test_memory.py holds it to XLA's own count, and says by how much.

XLA:CPU takes more in three cases: layers scanned without remat (1.6 times in all: the loop stacks
some values twice), bfloat16 (its activations become float32), and remat of unrolled layers, which
it undoes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from scaling.counting.parts import Counts, Dims
from scaling.machines import per_device
from scaling.machines.layout import Layout

FLOAT32 = INT32 = 4


@dataclass(frozen=True)
class Step:
    """What of a training step its memory depends on, besides the model.

    Attributes:
        microbatch: sequences of all devices together whose gradients are taken at once.
        steps: of one dispatch, whose batches lie on the device.
        state_copies: values that the optimizer keeps for each parameter; 2 with Adam.
        remat: "block" keeps each layer's input alone and works one layer out at a time; "dots" also
            keeps the outputs of the products with weights.
    """

    sequences: int
    microbatch: int
    steps: int
    state_copies: int
    compute_bytes: int
    attention: Literal["barrier", "xla", "cudnn", "splash"]
    remat: Literal["none", "block", "dots"]
    logits_chunks: int


def params(s: Dims, step: Step, layout: Layout) -> int:
    """4 Z with ZeRO 3, else 4 N."""
    return FLOAT32 * _split(s, layout, from_stage=3)


def moments(s: Dims, step: Step, layout: Layout) -> int:
    """4 Z each: the two of Adam, or what another optimizer keeps."""
    return FLOAT32 * step.state_copies * _split(s, layout, from_stage=1)


def gradients(s: Dims, step: Step, layout: Layout) -> int:
    """4 Z from ZeRO 2 on, else 4 N."""
    return FLOAT32 * _split(s, layout, from_stage=2)


def accumulator(s: Dims, step: Step, layout: Layout) -> int:
    """As much again where a batch is several microbatches, else 0."""
    return gradients(s, step, layout) if step.microbatch < step.sequences else 0


def gathered(s: Dims, step: Step, layout: Layout) -> int:
    """c (blocks + ends) of the weights that ZeRO 3 puts together to use them.

    Blocks: those of all layers of the device, kept for the backward pass; of one layer with remat,
    which gathers them again.
    """
    if layout.sizes["fsdp"] == 1 or layout.zero < 3:
        return 0
    blocks = per_device.params_blocks(s, layout)
    if step.remat != "none":
        blocks = per_device.share(blocks, per_device.layers(s, layout))
    return step.compute_bytes * (blocks + per_device.params_ends(s, layout))


def activations(s: Dims, step: Step, layout: Layout) -> int:
    """n c (sum over layers + 3 d), with the sum of `Counts.kept` over the parts of each layer.

    3 d: the last norm. With remat n c (L kept + layer + 3 d): kept is the layer's input, d, and
    under "dots" also `Counts.kept_dots`; layer is the largest one, for one part of the microbatch
    in a pipeline. Under "dots" XLA has no use for the last product's output, of which nothing but
    the next layer's input is made. Where positions are split, `Counts.gathered` of the whole
    sequence is there besides.
    """

    def of_part(part: Counts) -> int:
        kernel = part.kept_of_kernel[step.attention] if part.kept_of_kernel else ()
        own = per_device.arrays(s, part, (*part.kept, *kernel), layout)
        others = layout.sizes["sequence"] - 1
        found = own + others * per_device.arrays(s, part, part.gathered, layout)
        return found * part.slots // s.context if part.slots else found

    n = per_device.tokens(s, step.microbatch, layout)
    blocks = [sum(map(of_part, block)) for block in s.blocks]
    inputs = per_device.over_layers(s, layout, s.width * len(blocks))
    products = sum(per_device.arrays(s, part, part.kept_dots, layout) for part in s.parts)
    again = per_device.share(max(blocks), layout.pipeline_parts)
    kept = {
        "none": per_device.over_layers(s, layout, sum(blocks)),
        "block": inputs + again,
        "dots": inputs + per_device.over_layers(s, layout, products) + again,
    }
    return n * step.compute_bytes * (kept[step.remat] + 3 * s.width)


def logits(s: Dims, step: Step, layout: Layout) -> int:
    """8 n V: the logits and their gradient, in float32, of one chunk at a time."""
    n = per_device.tokens(s, step.microbatch, layout)
    return 2 * FLOAT32 * n * per_device.vocab(s, layout) // step.logits_chunks


def batches(s: Dims, step: Step, layout: Layout) -> int:
    """4 S B (T + 1)."""
    sequences = per_device.share(step.sequences, layout.batch_ways)
    return INT32 * step.steps * sequences * (s.context + 1)


def _split(s: Dims, layout: Layout, from_stage: int) -> int:
    """Parameters of one device in a tree that ZeRO splits from this stage on."""
    whole = per_device.params_blocks(s, layout) + per_device.params_ends(s, layout)
    return per_device.share(whole, layout.sizes["fsdp"]) if layout.zero >= from_stage else whole


TERMS: Mapping[str, Callable[[Dims, Step, Layout], int]] = {
    "params": params,
    "moments": moments,
    "gradients": gradients,
    "accumulator": accumulator,
    "gathered": gathered,
    "activations": activations,
    "logits": logits,
    "batches": batches,
}

ALONE = Layout()


def memory(dims: Dims, step: Step, members: int = 1, layout: Layout = ALONE) -> dict[str, int]:
    """Every term in bytes, of so many runs in one program, on each device; their sum is the need.

    Args:
        layout: settled.
    """
    return {name: members * term(dims, step, layout) for name, term in TERMS.items()}
