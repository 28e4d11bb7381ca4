"""Placement of the letters of arrays along the axes of the mesh, and the sizes that must divide.

One ordered table for weights, one for activations. Each axis splits at most one letter of an array,
the first in the table's order that has it. Letters are those of `scaling.common.alphabet`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from scaling.common.alphabet import parse
from scaling.common.errors import UserError
from scaling.counting.parts import Dims
from scaling.machines.layout import BATCH, Layout

Axes = tuple[str, ...]

WEIGHTS: Mapping[str, Axes] = {
    "L": ("stage",),
    "e": ("expert",),
    "h": ("tensor",),
    "g": ("tensor",),
    "f": ("tensor",),
    "v": ("tensor",),
    "d": ("fsdp",),
    "k": (),
    "w": (),
    "t": (),
    "r": (),
    "c": (),
    "s": (),
    "y": (),
    "x": (),
    "q": (),
    "m": (),
    "u": (),
    "l": (),
    "j": (),
}
# Weights as products read them: gathered along fsdp.
WEIGHTS_USED: Mapping[str, Axes] = {
    letter: tuple(axis for axis in axes if axis != "fsdp") for letter, axes in WEIGHTS.items()
}

ARRAYS: Mapping[str, Axes] = {
    "e": ("expert",),
    "B": BATCH,
    "T": ("sequence",),
    "h": ("tensor",),
    "g": ("tensor",),
    "f": ("tensor",),
    "v": ("tensor",),
    "d": (),
    "k": (),
    "w": (),
    "r": (),
    "a": (),
    "C": (),
    "S": (),
    "p": (),
    "c": (),
    "s": (),
    "y": (),
    "x": (),
    "q": (),
    "m": (),
    "z": ("tensor",),
    "l": (),
}

# Letters that stay whole where their axes do not divide them: few key-value heads are repeated, an
# odd vocabulary is not padded, the last validation windows are few. Any other is a user's mistake.
MAY_STAY_WHOLE = "gvBz"

# The config's field of every letter that an axis splits
FIELDS: Mapping[str, str] = {
    "L": "model.layers",
    "e": "model.experts",
    "h": "model.heads",
    "g": "model.kv_heads",
    "v": "model.vocab_size",
    "f": "model.ffn",
    "d": "model.width",
    "B": "execution.microbatch",
    "T": "batch.seq_len",
    "z": "model.heads",
}


def divide(name: str, whole: int, shares: Mapping[str, int]) -> None:
    """Refuse a size that its shares do not divide.

    Raises:
        UserError: the product of the shares does not divide `whole`.
    """
    ways = math.prod(shares.values())
    if whole % ways:
        by = " x ".join(f"{share}={n}" for share, n in shares.items() if n > 1)
        raise UserError(
            f"{name}={whole} does not divide by {ways} ({by} of execution.layout); "
            f"set it to a multiple of {ways}, or change the layout"
        )


def split(table: Mapping[str, Axes], layout: Layout, lengths: Mapping[str, int]) -> dict[str, Axes]:
    """The axes of each letter of one array.

    Raises:
        UserError: a letter that must divide by its axes does not.
        KeyError: a letter that the table does not have; the tables are total.
    """
    sizes, used = layout.sizes, set[str]()
    found: dict[str, Axes] = dict.fromkeys(lengths, ())
    if unknown := lengths.keys() - table.keys():
        raise KeyError(f"no row for the letters {sorted(unknown)}")
    for letter in filter(lengths.__contains__, table):
        axes = tuple(axis for axis in table[letter] if sizes[axis] > 1 and axis not in used)
        shares = {axis: sizes[axis] for axis in axes}
        if letter in MAY_STAY_WHOLE and lengths[letter] % math.prod(shares.values()):
            continue
        if axes:
            divide(FIELDS[letter], lengths[letter], shares)
        used |= set(axes)
        found[letter] = axes
    return found


def local(table: Mapping[str, Axes], layout: Layout, lengths: Mapping[str, int]) -> int:
    """Numbers of one array on one device; errors as `split`."""
    sizes, axes = layout.sizes, split(table, layout, lengths)
    return math.prod(
        lengths[letter] // math.prod(sizes[axis] for axis in axes[letter]) for letter in lengths
    )


def batch_shares(layout: Layout) -> dict[str, int]:
    """The shares of a microbatch: the parts of a pipeline, each over the batch's devices."""
    shares = {axis: layout.sizes[axis] for axis in BATCH} | {"parts": layout.pipeline_parts}
    return {name: n for name, n in shares.items() if n > 1}


def check(
    s: Dims,
    sequences: int,
    microbatch: int,
    layout: Layout,
    experts: Literal["slots", "grouped"] = "slots",
) -> None:
    """Refuse a settled layout that does not divide the run.

    Raises:
        UserError: a size does not divide, an axis has nothing to split, or it splits experts whose
            products are grouped.
    """
    sizes = layout.sizes
    has_experts = any("e" in parse(letters).copies for part in s.parts for letters in part.weights)
    if sizes["expert"] > 1 and not has_experts:
        raise UserError(
            f"execution.layout.expert={layout.expert}: a dense model has no experts to share out; "
            "set model.experts, or choose another layout"
        )
    for axis in ("expert", "tensor", "stage") if has_experts and experts == "grouped" else ():
        if sizes[axis] > 1:
            raise UserError(
                f"execution.program.experts=grouped: execution.layout.{axis}={sizes[axis]} shares "
                "out the weights of experts; set execution.program.experts=slots, or choose fsdp"
            )
    if sizes["stage"] > 1 and layout.blocks > 1:
        raise UserError(
            f"execution.layout.population={layout.population}: blocks of devices have no stages; "
            f"set population=1, where all members go through the stage={layout.stage} stages, or "
            "choose another layout"
        )
    if sizes["stage"] > 1 and s.layers_unique < s.layers:
        raise UserError(
            f"execution.layout.stage={layout.stage}: stages would split the layers that share "
            "weights (model.sharing); choose another layout"
        )
    if layout.rounds > 1 and layout.pipeline_parts < sizes["stage"]:
        raise UserError(
            f"execution.layout.parts={layout.pipeline_parts}: with rounds={layout.rounds} the "
            f"first of stage={layout.stage} stages would wait for the last; set parts to a multiple"
        )
    if layout.rounds > 1 and sizes["stage"] == 1:
        raise UserError(
            f"execution.layout.rounds={layout.rounds}: rounds are of a pipeline; "
            "set execution.layout.name=pipeline and execution.layout.stage, or rounds=1"
        )
    repeated = "" if len(s.blocks) == 1 else " / len(model.pattern)"
    divide(f"model.layers{repeated}", s.repeats, {"stage": sizes["stage"], "rounds": layout.rounds})
    divide("batch.sequences", sequences, batch_shares(layout))
    divide("execution.microbatch", microbatch, batch_shares(layout))
    divide("batch.seq_len", s.context, {"sequence": sizes["sequence"]})
    divide("model.width", s.width, {"fsdp": sizes["fsdp"]})
    for part in s.parts:
        lengths = s.lengths(part)
        for letters in part.weights:
            split(WEIGHTS, layout, {letter: lengths[letter] for letter in parse(letters).axes})
