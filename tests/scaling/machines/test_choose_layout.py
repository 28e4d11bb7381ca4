from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from paths import ROOT

from models.config import TransformerConfig
from scaling.common.errors import UserError
from scaling.counting.parts import Dims
from scaling.machines.chips import GIB, chip
from scaling.machines.choose_layout import USABLE, LayoutProblem, layouts_over
from scaling.machines.layout import Layout
from scaling.machines.memory import Step

SHAPE = TransformerConfig(
    layers=12,
    width=768,
    heads=12,
    kv_heads=12,
    head_dim=64,
    ffn=3072,
    vocab_size=32768,
    gains="none",
)
SMALL = SHAPE.dims(2048)
LARGE = replace(SHAPE, layers=32, width=4096, heads=32, kv_heads=32, head_dim=128, ffn=16384).dims(
    2048
)
STEP = Step(
    sequences=256,
    microbatch=256,
    steps=1,
    state_copies=2,
    compute_bytes=2,
    attention="xla",
    logits_chunks=1,
    remat="block",
)
DIVISORS = tuple(2**n for n in range(9))


def question(dims: Dims, name: str, **changes: object) -> LayoutProblem:
    return replace(LayoutProblem(dims, STEP, DIVISORS, chip(name), "bfloat16"), **changes)  # type: ignore[arg-type]


def test_a_small_model_has_copies() -> None:
    best = question(SMALL, "v5p").auto(16).best
    assert best.layout == Layout("data").over(16)
    assert best.step.microbatch == 256


def test_a_large_model_is_split() -> None:
    asked = question(LARGE, "v5e")
    best = asked.auto(16).best
    assert best.layout.sizes["fsdp"] > 1
    assert best.bytes <= USABLE * 16 * 2**30
    # its microbatch is the largest that fits
    with_more = asked.weigh(best.layout, 2 * best.step.microbatch)
    assert not asked.fits(with_more)


def test_the_best_is_the_quickest_of_those_that_fit() -> None:
    asked = question(LARGE, "v6e")
    choice = asked.auto(64)
    fitting = [one for one in choice.others if asked.fits(one)]
    assert fitting
    assert choice.best.roofline.seconds <= min(one.roofline.seconds for one in fitting)


def test_without_enough_sequences_heads_are_split() -> None:
    few = replace(STEP, sequences=4)
    best = question(SMALL, "v5e", step=few, microbatches=(4,)).auto(16).best
    assert best.layout.sizes["tensor"] == 4


def test_one_long_sequence_is_split_along_its_positions() -> None:
    one = replace(STEP, sequences=1)
    long = replace(SHAPE, heads=3, kv_heads=3).dims(2**17)
    best = question(long, "v5p", step=one, microbatches=(1,)).auto(16).best
    assert (best.layout.name, best.layout.sizes["sequence"]) == ("sequence", 16)


def test_what_fits_nowhere_is_told_with_how_much_and_what_to_change() -> None:
    asked = question(LARGE, "v5e", step=replace(STEP, remat="none"))
    with pytest.raises(UserError, match=r"GiB a chip, \d+\.\d more than .*remat=block") as told:
        asked.auto(1)
    assert "\n" not in str(told.value)


def test_chips_that_divide_nothing_are_told() -> None:
    with pytest.raises(UserError, match="7 chips: no layout of them divides"):
        question(SMALL, "v5e").auto(7)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (Layout("fsdp_tensor", tensor=8), "model.heads=12 does not divide by 8"),
        (Layout("pipeline", stage=16), "model.layers=12 does not divide by 16"),
        (Layout("fsdp", fsdp=512), "batch.sequences=256 does not divide by 512"),
        (Layout("fsdp", fsdp=128, data=1), "model.width=832 does not divide by 128"),
        (Layout("pipeline", stage=3, parts=3), "batch.sequences=256 does not divide by 3"),
    ],
)
def test_a_layout_that_does_not_divide_the_run_says_where(layout: Layout, words: str) -> None:
    dims = replace(SMALL, width=832) if "width" in words else SMALL
    with pytest.raises(UserError, match=words):
        question(dims, "v5e").best([layout.over(layout.devices)])


def test_a_missing_dtype_is_told_before_anything_else() -> None:
    with pytest.raises(UserError, match="precision=float8"):
        question(SMALL, "v5e", dtype="float8").auto(16)


def test_ways_are_all_factorisations_with_their_names() -> None:
    found = list(layouts_over(8, ("data", "fsdp", "tensor")))
    assert len(found) == 10
    assert all(math.prod(layout.sizes.values()) == 8 for layout in found)
    names = {(one.data, one.fsdp, one.tensor): one.name for one in found}
    assert names[8, 1, 1] == "data"
    assert names[1, 8, 1] == "fsdp"
    assert names[2, 4, 1] == "hierarchical"
    assert names[2, 2, 2] == names[1, 1, 8] == "fsdp_tensor"
    assert [layout.name for layout in layouts_over(1, ("data",))] == ["single"]


# --- the table of docs/layouts.md: 6.6B parameters, 16 v5p, 64 sequences of 8192 tokens ---

CASES = (
    Layout("fsdp"),
    Layout("hierarchical", fsdp=8),
    Layout("fsdp_tensor", tensor=4),
    Layout("sequence", sequence=4),
    Layout("pipeline", stage=4, fsdp=4),
    Layout("pipeline", stage=4, fsdp=4, rounds=2),
    Layout("pipeline", stage=4, fsdp=4, rounds=4),
)


def documented() -> Iterator[str]:
    """The lines of the table, one for each layout and kernel."""
    long = replace(LARGE, context=8192)
    whole = replace(STEP, sequences=64, attention="splash", logits_chunks=16)
    for layout in CASES:
        for kernel in ("xla", "ring") if layout.sequence else ("splash",):
            asked = question(long, "v5p", step=whole, microbatches=(16, 32), along=(kernel,))
            one = asked.best([layout.over(16)]).best
            cells = (
                one.name if kernel != "xla" else f"{one.name}, gathering",
                f"{one.bytes / GIB:.1f}",
                f"{one.sent / GIB:.0f}",
                f"{one.roofline.waiting:.0%}",
                f"{one.roofline.bound}, {one.roofline.seconds:.1f} s",
            )
            yield "| " + " | ".join(cells) + " |"


def test_the_table_of_the_docs_is_that_of_the_formulas() -> None:
    text = (ROOT / "docs" / "layouts.md").read_text(encoding="utf-8")
    lines = list(documented())
    assert len(lines) > 7
    assert "\n".join(lines) in text, "\n".join(lines)


def test_positions_over_devices_go_round_a_ring_where_that_is_quicker() -> None:
    one = replace(STEP, sequences=1, microbatch=1)
    layout = Layout("sequence", sequence=16).over(16)
    long, short = (replace(SMALL, context=context) for context in (2**17, 2**15))
    kernels = [
        question(dims, "v5p", step=one).weigh(layout, 1).step.attention for dims in (long, short)
    ]
    assert kernels == ["ring", "xla"]


# --- several runs in one program ---


def test_small_runs_take_blocks_of_devices_and_large_ones_all_of_them() -> None:
    few = question(SMALL, "v5e", step=replace(STEP, sequences=4), microbatches=(1, 2, 4))
    alone, found = few.auto(16).best, few.together(16, 8).best
    assert found.members == found.layout.blocks > 1
    assert found.seconds_per_run < alone.seconds_per_run / 1.05
    assert found.bytes <= USABLE * few.chip.hbm_bytes
    large = question(LARGE, "v5e").together(32, 8).best
    assert large.layout.sizes["fsdp"] * large.layout.sizes["tensor"] > 1
    assert large.bytes <= USABLE * 16 * 2**30


def test_members_of_a_block_take_their_memory_and_time_together() -> None:
    asked = question(SMALL, "v5p")
    one = asked.weigh(Layout("data").over(8), 64)
    four = replace(asked, members=4).weigh(Layout("data", population=2).over(16), 64)
    assert four.bytes == 2 * one.bytes
    assert four.roofline.compute_seconds == pytest.approx(2 * one.roofline.compute_seconds)
    assert four.roofline.mfu(1.0) == pytest.approx(2 * one.roofline.mfu(1.0))


def test_experts_are_split_where_that_is_quickest() -> None:
    sparse = replace(SHAPE, experts=16, mlp="swiglu").dims(2048)
    few = replace(STEP, sequences=8)
    best = question(sparse, "v5e", step=few, microbatches=(8,)).auto(8).best
    assert best.layout.sizes["expert"] > 1
    dense = question(SMALL, "v5e", step=few, microbatches=(8,)).auto(8)
    assert all(one.layout.sizes["expert"] == 1 for one in (dense.best, *dense.others))
