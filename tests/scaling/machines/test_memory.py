"""The memory formulas by hand, and beside what XLA says of the program that trains."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from experiments.config.run import BatchConfig, Execution, RunConfig, Science
from experiments.sweep import cost
from experiments.training.hypers import hypers
from experiments.training.step import init_state, recipe, train_chunk
from models.config import TransformerConfig
from scaling.machines.layout import Layout
from scaling.machines.memory import Step, memory
from scaling.machines.program import PLAIN, Program

STEPS = 4
ONE = TransformerConfig(layers=1, width=4, heads=2, kv_heads=1, head_dim=2, ffn=8, vocab_size=10)
STEP = Step(
    sequences=2,
    microbatch=1,
    steps=3,
    state_copies=2,
    compute_bytes=4,
    attention="barrier",
    remat="none",
    logits_chunks=1,
)


def test_hand_counts() -> None:
    """164 parameters, 6 tokens at once. A layer: 6*4 + 2*(3*2 + 2*1) + 3*8 + 2*6 = 76."""
    assert memory(ONE.dims(6), STEP) == {
        "params": 656,
        "moments": 1312,
        "gradients": 656,
        "accumulator": 656,
        "gathered": 0,
        "activations": 4 * 6 * (76 + 3 * 4),
        "logits": 4 * 6 * 2 * 10,
        "batches": 4 * 3 * 2 * 7,
    }


def test_experts_are_shared_out() -> None:
    """ONE without its MLP of 64, with a router of 4*4 and two of four experts on each device."""
    dims = replace(ONE, experts=4, capacity_factor=1.0).dims(6)
    need = memory(dims, STEP, layout=Layout("expert", expert=2, fsdp=1))
    assert need["params"] == 4 * (164 - 64 + 16 + 2 * 64)


def test_grouped_products_keep_no_empty_slot() -> None:
    """24 slots of 4 experts for the 12 choices of 6 tokens; 3*8 + 2*4 numbers are of a slot."""
    dims = replace(ONE, experts=4, capacity_factor=2.0).dims(6)
    slots, grouped = (
        memory(dims, replace(STEP, experts=experts))["activations"]
        for experts in ("slots", "grouped")
    )
    assert slots - grouped == 4 * 12 * (3 * 8 + 2 * 4)


def test_every_member_takes_as_much() -> None:
    alone = memory(ONE.dims(6), STEP)
    assert memory(ONE.dims(6), STEP, 5) == {name: 5 * bytes for name, bytes in alone.items()}


# 2 layers of: q and out 2*8*8, k and v 2*8*4 [2 kv heads]: 192, MLP 2*8*16: 256. In all 896 and
# 5 norms of 8: 40. Embedding and readout 2*10*8: 160. 1096 parameters.
WIDE = TransformerConfig(
    layers=2,
    width=8,
    heads=4,
    kv_heads=2,
    head_dim=2,
    ffn=16,
    vocab_size=10,
    embeddings="untied",
)
BATCH = replace(STEP, sequences=8, microbatch=4, compute_bytes=2, attention="xla")
# For each token of a layer: 6*8 + 2*(3*4 + 2*2) + 3*16 + 3*4*6 = 200; last norm 3*8.
WIDE_ALONE = {
    "params": 4 * 1096,
    "moments": 8 * 1096,
    "gradients": 4 * 1096,
    "accumulator": 4 * 1096,
    "gathered": 0,
    "activations": 24 * 2 * (2 * 200 + 24),
    "logits": 8 * 24 * 10,
    "batches": 4 * 3 * 8 * 7,
}


@pytest.mark.parametrize(
    ("layout", "changed"),
    [
        (Layout(), {}),
        # each device two of the eight sequences, one of the four at once
        (
            Layout("data", data=4),
            {"activations": 12 * (424), "logits": 480, "batches": 168},
        ),
        (
            Layout("fsdp", fsdp=4),
            {name: WIDE_ALONE[name] // 4 for name in WIDE_ALONE} | {"gathered": 2 * 1096},
        ),
        (
            Layout("fsdp", fsdp=4, zero=2),
            {name: WIDE_ALONE[name] // 4 for name in WIDE_ALONE} | {"params": 4 * 1096},
        ),
        (
            Layout("fsdp", fsdp=4, zero=1),
            {name: WIDE_ALONE[name] // 4 for name in WIDE_ALONE}
            | dict.fromkeys(("params", "gradients", "accumulator"), 4 * 1096),
        ),
        # one query head of four with its group's halves: 448 + 40 + embedding and readout by half;
        # activations: 6*8 + 2*(3*2 + 2*1) + 3*8 + 3*2*6 = 124
        (
            Layout("fsdp_tensor", fsdp=1, tensor=2),
            {
                "params": 4 * 568,
                "moments": 8 * 568,
                "gradients": 4 * 568,
                "accumulator": 4 * 568,
                "activations": 48 * (2 * 124 + 24),
                "logits": 960,
            },
        ),
        # half of every sequence, and the other half's keys and values: 2*2*2 more
        (
            Layout("sequence", sequence=2, fsdp=1),
            {"activations": 24 * (2 * (200 + 8) + 24), "logits": 960},
        ),
        # half of the layers: 448 + 20 + 160
        (
            Layout("pipeline", stage=2, data=1),
            {
                "params": 4 * 628,
                "moments": 8 * 628,
                "gradients": 4 * 628,
                "accumulator": 4 * 628,
                "activations": 48 * (200 + 24),
            },
        ),
    ],
    ids=lambda value: f"{value.name}{value.zero}" if isinstance(value, Layout) else "",
)
def test_layouts_by_hand(layout: Layout, changed: dict[str, int]) -> None:
    settled = layout.over(layout.devices)
    assert memory(WIDE.dims(6), BATCH, layout=settled) == WIDE_ALONE | changed


def test_heads_and_vocabularies_that_do_not_divide_stay_whole() -> None:
    whole = replace(WIDE, kv_heads=1, vocab_size=11).dims(6)
    split = memory(whole, BATCH, layout=Layout("fsdp_tensor", fsdp=1, tensor=4))
    layer = (
        2 * 8 * 2 + 2 * 8 * 2 + 2 * 8 * 4
    )  # of its one query head, the keys and values, a quarter
    assert split["params"] == 4 * (2 * layer + 40 + 2 * 11 * 8)
    assert split["logits"] == 8 * 24 * 11


def test_remat_gathers_one_layer_at_a_time() -> None:
    step = replace(BATCH, remat="block")
    kept = memory(WIDE.dims(6), step, layout=Layout("fsdp", fsdp=4))
    assert kept["gathered"] == 2 * (936 // 2 + 160)
    assert kept["activations"] == 6 * 2 * (2 * 8 + 200 + 24)


def config(
    width: int,
    tokens: tuple[int, int],
    microbatch: int,
    program: Program,
    layers: int = 2,
    **model: Any,
) -> RunConfig:
    sizes = {"heads": width // 16, "kv_heads": width // 16, "head_dim": 16, "ffn": 4 * width}
    shape = TransformerConfig(layers=layers, width=width, **(sizes | model))
    execution = Execution(program, microbatch=microbatch, steps_per_dispatch=STEPS)
    return RunConfig(Science(model=shape, batch=BatchConfig(*tokens)), execution)


def compiled_bytes(config: RunConfig, members: int) -> int:
    """Arguments and temporaries of the chunk, as XLA lays them out; results take their place."""
    made, leaves, batch = recipe(config), hypers(config.science), config.science.batch
    state = jax.eval_shape(partial(init_state, made), leaves)
    windows = jax.ShapeDtypeStruct((STEPS, batch.sequences, batch.seq_len + 1), jnp.int32)
    chunk: Any = partial(train_chunk, made)
    shapes: Any = (state, leaves, windows)
    if members > 1:
        chunk = jax.vmap(chunk)
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((members, *leaf.shape), leaf.dtype), shapes
        )
    found = jax.jit(chunk, donate_argnums=0).lower(*shapes).compile().memory_analysis()
    return int(found.argument_size_in_bytes + found.temp_size_in_bytes)


BARRIER = Program(backward="barrier", attention="barrier")
CHUNKS = replace(BARRIER, logits_chunks=8)
GROUPED = replace(BARRIER, experts="grouped")


@pytest.mark.parametrize(
    ("made", "members"),
    [
        (config(64, (8, 64), 4, BARRIER), 4),
        (config(64, (4, 256), 4, BARRIER), 1),  # the squares
        (config(256, (4, 64), 1, BARRIER), 1),  # the parameters
        (config(64, (4, 128), 4, BARRIER, vocab_size=4096), 1),  # the logits
        (config(64, (4, 128), 4, CHUNKS, vocab_size=4096), 1),
        (config(64, (4, 128), 4, BARRIER, mlp="swiglu", kv_heads=1, embeddings="untied"), 1),
        (config(64, (4, 128), 4, PLAIN), 4),
        (config(64, (4, 128), 4, BARRIER, experts=4), 1),
        pytest.param(config(64, (4, 128), 4, GROUPED, experts=4), 1, marks=pytest.mark.slow),
        (config(64, (4, 128), 4, replace(BARRIER, layers="scan", remat="block"), layers=4), 1),
        (config(64, (4, 128), 4, replace(BARRIER, layers="scan", remat="dots"), layers=4), 1),
    ],
)
def test_estimate_is_near_what_is_compiled(made: RunConfig, members: int) -> None:
    """Within 15 %: above where gradients grow as activations go, below where a mapped loop keeps
    the state of before for members that stand still."""
    estimate = sum(cost.memory(made, members, "cpu").values())
    assert estimate == pytest.approx(compiled_bytes(made, members), rel=0.15)
