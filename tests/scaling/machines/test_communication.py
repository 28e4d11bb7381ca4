"""Bytes and times by hand; beside XLA's programs in tests/invariance/eight_devices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.config import TransformerConfig
from scaling.counting.formulas import params_total
from scaling.machines.chips import chip
from scaling.machines.communication import Collective, bubble, collectives, seconds, totals
from scaling.machines.interconnect import Link, links
from scaling.machines.layout import Layout
from scaling.machines.memory import Step

# A layer 2*8*8 + 2*8*4 + 2*8*16 = 448, two of them and the vectors 936; embedding 16*8: 128
SHAPE = TransformerConfig(layers=2, width=8, heads=4, kv_heads=2, head_dim=2, ffn=16, vocab_size=16)
DIMS = SHAPE.dims(6)
STEP = Step(
    sequences=8,
    microbatch=8,
    steps=1,
    state_copies=2,
    compute_bytes=2,
    attention="xla",
    logits_chunks=1,
    remat="none",
)
N = 936 + 128


def moved(layout: Layout, step: Step = STEP) -> dict[tuple[str, str], float]:
    settled = layout.over(layout.devices)
    return totals(collectives(DIMS, step, settled), settled)


def test_alone_nothing_is_sent() -> None:
    assert moved(Layout()) == {}


def test_data_parallel_reduces_the_gradients() -> None:
    assert moved(Layout("data", data=4)) == {("all_reduce", "data"): 2 * 2 * N * 3 / 4}


def test_fsdp_gathers_and_scatters() -> None:
    once = 2 * N * 3 / 4
    assert moved(Layout("fsdp", fsdp=4)) == {
        ("all_gather", "fsdp"): once,
        ("reduce_scatter", "fsdp"): once,
    }


def test_remat_gathers_the_layers_twice() -> None:
    found = moved(Layout("fsdp", fsdp=4), replace(STEP, remat="block"))
    assert found["all_gather", "fsdp"] == 2 * (2 * 936 + 128) * 3 / 4


def test_every_microbatch_gathers_anew() -> None:
    found = moved(Layout("fsdp", fsdp=4), replace(STEP, microbatch=4))
    assert found == {kind: 2 * bytes for kind, bytes in moved(Layout("fsdp", fsdp=4)).items()}


@pytest.mark.parametrize(
    ("zero", "kind", "part"), [(2, "reduce_scatter", 3 / 4), (1, "all_reduce", 2 * 3 / 4)]
)
def test_below_zero_3_new_weights_are_gathered_in_float32(
    zero: int, kind: str, part: float
) -> None:
    assert moved(Layout("fsdp", fsdp=4, zero=zero)) == {  # type: ignore[arg-type]
        ("all_gather", "fsdp"): 4 * N * 3 / 4,
        (kind, "fsdp"): 2 * N * part,
    }


def test_hierarchical_reduces_its_parts_across() -> None:
    found = moved(Layout("hierarchical", fsdp=4, data=2))
    assert found["all_reduce", "data"] == 2 * (2 * N / 4) * 1 / 2
    assert found["reduce_scatter", "fsdp"] == 2 * N * 3 / 4


def test_tensor_parallel_reduces_the_stream() -> None:
    # 4 in each of 2 layers and 2 at the ends, of 8 sequences of 6 tokens of 8 numbers
    found = moved(Layout("fsdp_tensor", tensor=2))
    assert found == {("all_reduce", "tensor"): 10 * 2 * (8 * 6 * 8 * 2) * 1 / 2}


def test_a_recursion_reduces_its_slots_alone() -> None:
    """The second time 3 of 6 tokens: 4 + 2 and 2 at the ends."""
    recursed = replace(SHAPE, sharing="cycle", recursion="token_choice", capacity_factor=1.0)
    layout = Layout("fsdp_tensor", tensor=2).over(2)
    found = totals(collectives(recursed.dims(6), STEP, layout), layout)
    assert found == {("all_reduce", "tensor"): 8 * 2 * (8 * 6 * 8 * 2) * 1 / 2}


def test_sequence_gathers_keys_and_values() -> None:
    found = moved(Layout("sequence", sequence=2))
    both = 2 * 2 * (8 * 6) * 2 * 2 * 2  # layers, K and V, tokens, heads, k, bytes
    assert found["all_gather", "sequence"] == both / 2
    assert found["reduce_scatter", "sequence"] == both / 2
    assert found["all_reduce", "sequence"] == 2 * 2 * N / 2


def test_a_pipeline_passes_the_stream_on() -> None:
    found = moved(Layout("pipeline", stage=2, parts=4))
    part = 2 * 6 * 8 * 2  # two sequences
    assert found == {
        ("permute", "stage"): 2 * (4 + 2 - 1) * part,
        ("all_reduce", "stage"): 2 * (2 * 128) / 2,
    }


@pytest.mark.parametrize(("remat", "times"), [("none", 4), ("block", 6)])
def test_experts_get_their_tokens_and_send_them_back(remat: Any, times: int) -> None:
    """Two sequences a device, of 4 * 3 slots each; 3 of 4 go elsewhere. Summed are the gradients of
    all but the experts: 2 * (448 - 2*8*16 + 8*4 of the router) + 40 + 128."""
    dims = replace(SHAPE, experts=4, capacity_factor=1.0).dims(6)
    layout = Layout("expert", expert=4).over(4)
    assert totals(collectives(dims, replace(STEP, remat=remat), layout), layout) == {
        ("all_to_all", "expert"): times * 2 * (2 * 12 * 8 * 2) * 3 / 4,
        ("all_reduce", "expert"): 2 * 616 * 2 * 3 / 4,
    }


def test_bubble() -> None:
    assert bubble(Layout("pipeline", stage=4, parts=8)) == 3 / 11
    assert bubble(Layout("pipeline", stage=4)) == 3 / 11  # two parts for each stage
    assert bubble(Layout("data", data=4)) == 0


RING = Link(size=8, bandwidth=2e9, one_way=1e9, hops=4, switched=False)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("all_gather", 1e9 / 2e9 * 7 / 8),
        ("reduce_scatter", 1e9 / 2e9 * 7 / 8),
        ("all_reduce", 2 * 1e9 / 2e9 * 7 / 8),
        ("all_to_all", 1e9 / (4 * 2e9) * 7 / 8),
        ("permute", 1e9 / 8 / 1e9),
    ],
)
def test_times_in_a_ring(kind: str, expected: float) -> None:
    """V / W, twice that, a quarter of it (Austin et al. 2025, part 3), times (n-1)/n."""
    assert seconds(Collective(kind, "fsdp", 1e9, 1), RING) == pytest.approx(expected)  # type: ignore[arg-type]


def test_a_switch_connects_all_devices_directly() -> None:
    exchange = Collective("all_to_all", "expert", 1e9, 1)
    assert seconds(exchange, replace(RING, switched=True)) == pytest.approx(1e9 / 8 * 7 / 8 / 2e9)


def test_a_small_array_takes_a_microsecond_a_hop() -> None:
    assert seconds(Collective("all_gather", "fsdp", 8.0, 3), RING) == pytest.approx(3 * 4e-6)


@pytest.mark.parametrize(("side", "tokens"), [(8, 2550), (512, 850)])
def test_data_parallel_is_bound_by_compute_from_as_many_tokens_a_chip_as_the_book_says(
    side: int, tokens: int
) -> None:
    """Part 5: from C / W on the backward pass, 4 N FLOPs a token, hides the reduction of bfloat16
    gradients; on v5p 2550 tokens a chip over one side of the torus, 850 over three."""
    v5p, layout = chip("v5p"), Layout("data").over(side)
    shape = replace(SHAPE, width=8192, heads=64, kv_heads=64, head_dim=128, ffn=32768, layers=4)
    wide = replace(shape, gains="none").dims(6)
    link = links(v5p, layout)["data"]
    if side == 8:
        link = replace(link, bandwidth=2 * v5p.link_bandwidth)  # as one side of a larger slice
    reduction = sum(seconds(one, link) for one in collectives(wide, STEP, layout))
    backward = 4 * params_total(wide) * tokens / v5p.flops("bfloat16")
    assert reduction * side / (side - 1) == pytest.approx(backward, rel=1e-3)
