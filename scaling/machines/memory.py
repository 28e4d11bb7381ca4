"""Bytes that training takes on one device, term by term, before anything is compiled.

All quantities are the share of one device (`scaling.machines.per_device`): N parameters, whole
along fsdp; Z their part along fsdp; n tokens of one microbatch; d width, V vocabulary, c bytes of
an activation. On one device Z = N. Parameters, moments and gradients are float32; activations
take `compute_bytes`.

The sum takes all terms as live at once. In fact gradients grow while activations are freed. So the
sum exceeds the compiler's need, more so for a large model with a small microbatch.
tests/scaling/machines/test_memory.py holds it within 15 % of XLA's own count.

XLA:CPU takes more in three cases: layers scanned without remat (1.6 times: the loop stacks some
values twice), bfloat16 (activations become float32), and remat of unrolled layers (undone).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from scaling.counting.parts import Counts, Dims
from scaling.machines import per_device
from scaling.machines.layout import Layout

FLOAT32 = INT32 = 4

Attention = Literal["barrier", "xla", "cudnn", "splash", "ring"]


@dataclass(frozen=True)
class Step:
    """The settings of a training step that its memory depends on, besides the model.

    Attributes:
        microbatch: sequences, of all devices together, whose gradients are taken at once.
        steps: steps of one dispatch, whose batches lie on the device.
        state_copies: values that the optimizer keeps for each parameter; 2 with Adam.
        remat: "block" keeps only the input of each layer and computes one layer at a time; "dots"
            also keeps the outputs of products with weights.
    """

    sequences: int
    microbatch: int
    steps: int
    state_copies: int
    compute_bytes: int
    attention: Attention
    remat: Literal["none", "block", "dots"]
    logits_chunks: int
    experts: Literal["slots", "grouped"] = "slots"


def params(s: Dims, step: Step, layout: Layout) -> int:
    """4 Z with ZeRO 3, else 4 N."""
    return FLOAT32 * _split(s, layout, from_stage=3)


def moments(s: Dims, step: Step, layout: Layout) -> int:
    """4 Z each: the two of Adam, or those of another optimizer."""
    return FLOAT32 * step.state_copies * _split(s, layout, from_stage=1)


def gradients(s: Dims, step: Step, layout: Layout) -> int:
    """4 Z from ZeRO 2 on, else 4 N."""
    return FLOAT32 * _split(s, layout, from_stage=2)


def accumulator(s: Dims, step: Step, layout: Layout) -> int:
    """A second copy of the gradients where a batch is several microbatches, else 0."""
    return gradients(s, step, layout) if step.microbatch < step.sequences else 0


def gathered(s: Dims, step: Step, layout: Layout) -> int:
    """c (blocks + ends): weights that ZeRO 3 gathers to use them.

    Blocks: of all layers of the device, kept for the backward pass; with remat, which gathers
    again, of one layer.
    """
    if layout.sizes["fsdp"] == 1 or layout.zero < 3:
        return 0
    blocks = per_device.params_blocks(s, layout)
    if step.remat != "none":
        blocks = per_device.share(blocks, per_device.layers(s, layout))
    return step.compute_bytes * (blocks + per_device.params_ends(s, layout))


def activations(s: Dims, step: Step, layout: Layout) -> int:
    """n c (sum over layers of `Counts.kept` + 3 d); 3 d is the last norm.

    With remat n c (L kept + layer + 3 d). Kept is a layer's input, d, and under "dots" also
    `Counts.kept_dots`; layer is the largest one, of one part of the microbatch in a pipeline. Where
    positions are split, `Counts.gathered` of the whole sequence is added; in a ring, of the next
    device.
    """

    def of_part(part: Counts) -> int:
        kernel = part.kept_of_kernel[step.attention] if part.kept_of_kernel else ()
        own = per_device.arrays(s, part, (*part.kept, *kernel), layout)
        others = layout.sizes["sequence"] - 1
        if per_device.is_ring(step.attention, part):
            others = min(others, 1)
        found = own + others * per_device.arrays(s, part, part.gathered, layout)
        held = {"slots": part.slots, "grouped": part.rows}[step.experts]
        return found * held // s.context if held else round(found * s.held(part))

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
    """8 n V: logits and their gradient in float32, for one chunk at a time."""
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
    """Every term in bytes on each device, for a number of runs in one program.

    Args:
        layout: settled.
    """
    return {name: members * term(dims, step, layout) for name, term in TERMS.items()}
