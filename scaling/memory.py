"""Bytes that training takes on one device, term by term, before anything is compiled.

Letters as in `scaling.accounting`, n the tokens of one microbatch. Parameters, moments and
gradients are float32; activations are what the backward pass reads again, in `compute_bytes`. The
terms are added as if all were there at once. In truth gradients grow while activations are given
back, so the sum is above what a compiler needs, the more the larger the model is beside its
microbatch; tests/scaling/test_memory.py holds it to XLA's own count, and says by how much.

XLA:CPU takes more in three cases: layers scanned without remat (1.6 times in all: the loop stacks
some values twice), bfloat16 (its activations become float32), and remat of unrolled layers, which
it undoes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from scaling.accounting import Dims, params_total

FLOAT32 = INT32 = 4

# T x T squares kept for every head: the softmax alone, or what JAX's own derivative keeps too
SQUARES = {"barrier": 1, "plain": 3}


@dataclass(frozen=True)
class Step:
    """What of a training step its memory depends on, besides the model.

    Attributes:
        steps: of one dispatch, whose batches lie on the device.
        state_copies: values that the optimizer keeps for each parameter; 2 with Adam.
        remat: "block" keeps each layer's input alone, and works one layer out at a time.
    """

    sequences: int
    microbatch: int
    steps: int
    state_copies: int
    compute_bytes: int
    backward: Literal["plain", "barrier"]
    remat: Literal["none", "block"]


def params(s: Dims, step: Step) -> int:
    """4 N."""
    return FLOAT32 * params_total(s)


def moments(s: Dims, step: Step) -> int:
    """4 N each: the two of Adam, or what another optimizer keeps."""
    return step.state_copies * params(s, step)


def gradients(s: Dims, step: Step) -> int:
    """4 N."""
    return params(s, step)


def accumulator(s: Dims, step: Step) -> int:
    """4 N where a batch is several microbatches, else 0."""
    return params(s, step) if step.microbatch < step.sequences else 0


def activations(s: Dims, step: Step) -> int:
    """n c (L layer + 3 d), with layer = 6 d + 3 H k + 2 G k + (2 M - 1) F + Q H T.

    6 d: of two norms their input, their normalised input and their output. 3 H k + 2 G k: queries,
    keys, values, and the average before and after its heads are put side by side. M feed-forward
    matrices, 2 or 3: what goes into the activation, comes out of it and its slope; gated, also the
    other factor and the product. Q: `SQUARES`. 3 d: the last norm. With remat n c (L d + layer +
    3 d). With experts that have C slots each F is E C / T times as much, and what goes into the
    slots and comes out of them is another 2 d for each.
    """
    heads = s.head_dim * (3 * s.heads + 2 * s.kv_heads)
    square = SQUARES[step.backward] * s.heads * s.context
    ffn = (2 * s.ffn_matrices - 1) * s.ffn
    if s.experts:
        ffn = (ffn + 2 * s.width) * s.experts * s.expert_slots // s.context
    layer = 6 * s.width + heads + ffn + square
    kept = s.layers * layer if step.remat == "none" else s.layers * s.width + layer
    return _tokens(s, step) * step.compute_bytes * (kept + 3 * s.width)


def logits(s: Dims, step: Step) -> int:
    """8 n V: the logits and their gradient, in float32."""
    return 2 * FLOAT32 * _tokens(s, step) * s.vocab


def batches(s: Dims, step: Step) -> int:
    """4 S B (T + 1)."""
    return INT32 * step.steps * step.sequences * (s.context + 1)


def _tokens(s: Dims, step: Step) -> int:
    return step.microbatch * s.context


TERMS: Mapping[str, Callable[[Dims, Step], int]] = {
    "params": params,
    "moments": moments,
    "gradients": gradients,
    "accumulator": accumulator,
    "activations": activations,
    "logits": logits,
    "batches": batches,
}


def memory(dims: Dims, step: Step, members: int = 1) -> dict[str, int]:
    """Every term in bytes, of so many runs in one program on one device; their sum is the need."""
    return {name: members * term(dims, step) for name, term in TERMS.items()}
