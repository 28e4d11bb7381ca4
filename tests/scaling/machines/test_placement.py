"""Every pair of axes of a mesh: a layout of the model, or refused in one line with the remedy."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from models.config import TransformerConfig
from scaling.common.errors import UserError
from scaling.machines.layout import AXES, Layout
from scaling.machines.placement import check

DENSE = TransformerConfig(layers=4, width=64, heads=4, kv_heads=4, head_dim=16, ffn=128)
MODELS = {
    "dense": DENSE,
    "experts": replace(DENSE, experts=4, mlp="swiglu"),
    "shared layers": replace(DENSE, sharing="cycle"),
}
# What a model cannot have along an axis, whatever the other axis is. Every other pair is a layout,
# but for `BLOCKS`
REFUSED = {
    ("dense", "expert"): "expert=2: a dense model has no experts .* set model.experts, or choose",
    ("shared layers", "expert"): "expert=2: a dense model has no experts",
    ("shared layers", "stage"): "stage=2: stages would split the layers .*; choose another layout",
}
BLOCKS = "population=2: blocks of devices have no stages; set population=1"
# Sizes that do not divide the run, along each axis
UNEVEN = {
    "data": "batch.sequences=16 does not divide by 3",
    "stage": "model.layers=4 does not divide by 3",
    "fsdp": "batch.sequences=16 does not divide by 3",
    "expert": "batch.sequences=16 does not divide by 3",
    "sequence": "batch.seq_len=32 does not divide by 3",
    "tensor": "model.heads=4 does not divide by 3",
}


@pytest.mark.parametrize("pair", list(combinations(AXES, 2)), ids=" and ".join)
@pytest.mark.parametrize("model", MODELS)
def test_a_pair_of_axes_is_a_layout_or_is_refused(model: str, pair: tuple[str, str]) -> None:
    layout = Layout("data", **dict.fromkeys(pair, 2)).over(4)  # type: ignore[arg-type]
    words = [REFUSED[model, axis] for axis in pair if (model, axis) in REFUSED]
    if set(pair) == {"population", "stage"}:
        words.append(BLOCKS)
    if not words:
        check(MODELS[model].dims(32), 16, 16, layout)
        return
    with pytest.raises(UserError, match="|".join(words)) as told:
        check(MODELS[model].dims(32), 16, 16, layout)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("axis", UNEVEN)
def test_a_size_that_does_not_divide_names_its_field(axis: str) -> None:
    model = MODELS["experts" if axis == "expert" else "dense"]
    layout = Layout("data", **{axis: 3}).over(3)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=UNEVEN[axis]) as told:
        check(model.dims(32), 16, 16, layout)
    assert "multiple of 3" in str(told.value)
