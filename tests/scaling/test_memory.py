"""The memory formulas by hand, and beside what XLA says of the program that trains."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from quick import quick_jit

from experiments import cost
from experiments.config import BatchConfig, Execution, RunConfig, Science
from experiments.hypers import hypers
from experiments.step import init_state, recipe, train_chunk
from models.config import Program, TransformerConfig
from scaling.memory import Step, memory

STEPS = 4
ONE = TransformerConfig(layers=1, width=4, heads=2, kv_heads=1, head_dim=2, ffn=8, vocab_size=10)
STEP = Step(
    sequences=2,
    microbatch=1,
    steps=3,
    state_copies=2,
    compute_bytes=4,
    backward="barrier",
    remat="none",
)


def test_hand_counts() -> None:
    """164 parameters, 6 tokens at once. A layer: 6*4 + 2*(3*2 + 2*1) + 3*8 + 2*6 = 76."""
    assert memory(ONE.dims(6), STEP) == {
        "params": 656,
        "moments": 1312,
        "gradients": 656,
        "accumulator": 656,
        "activations": 4 * 6 * (76 + 3 * 4),
        "logits": 4 * 6 * 2 * 10,
        "batches": 4 * 3 * 2 * 7,
    }


def test_every_member_takes_as_much() -> None:
    alone = memory(ONE.dims(6), STEP)
    assert memory(ONE.dims(6), STEP, 5) == {name: 5 * bytes for name, bytes in alone.items()}


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
    found = quick_jit(chunk, donate_argnums=0).lower(*shapes).compile().memory_analysis()
    return int(found.argument_size_in_bytes + found.temp_size_in_bytes)


BARRIER, PLAIN = Program(backward="barrier"), Program(backward="plain")


@pytest.mark.parametrize(
    ("made", "members"),
    [
        (config(64, (4, 128), 4, BARRIER), 1),
        (config(64, (8, 64), 4, BARRIER), 4),
        (config(64, (4, 256), 4, BARRIER), 1),  # the squares
        (config(256, (4, 64), 1, BARRIER), 1),  # the parameters
        (config(256, (4, 64), 1, BARRIER), 4),
        (config(64, (4, 128), 4, BARRIER, vocab_size=4096), 1),  # the logits
        (config(64, (4, 128), 4, BARRIER, mlp="swiglu", kv_heads=1, embeddings="untied"), 1),
        (config(64, (4, 128), 4, PLAIN), 4),
        (config(64, (4, 128), 4, BARRIER, experts=4), 1),
        (config(64, (4, 128), 4, Program("scan", "block", "barrier"), layers=4), 1),
    ],
)
def test_estimate_is_near_what_is_compiled(made: RunConfig, members: int) -> None:
    """Within 15 %: above where gradients grow as activations go, below where a mapped loop keeps
    the state of before for members that stand still."""
    estimate = sum(cost.memory(made, members, "cpu").values())
    assert estimate == pytest.approx(compiled_bytes(made, members), rel=0.15)
