"""Logits chunk by chunk: the loss and the gradients of all at once, in less memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from curves import SCIENCE, batches, program

from experiments.training.objective import loss
from experiments.training.step import Losses, gradients
from models.transformer import init

ONE = replace(SCIENCE, model=replace(SCIENCE.model, layers=1))
MODELS = {
    "tied": ONE,
    "untied": replace(ONE, model=replace(ONE.model, embeddings="untied")),
    "bfloat16": replace(ONE, precision="bfloat16"),
}


@cache
def _gradients(name: str, chunks: int) -> Callable[[jax.Array], Any]:
    """Losses and gradients at a start that is not flat, of microbatches, with z-loss."""
    made = program(science=MODELS[name], microbatch=2, logits_chunks=chunks)

    @jax.jit
    def found(windows: jax.Array) -> Any:
        params = init(made.spec, made.seq_len, jax.random.key(0), 3.0)
        return gradients(made, params, windows, {"z_loss": jnp.float32(0.3)})

    return found


def _found(name: str, chunks: int) -> tuple[Losses, Any]:
    result: tuple[Losses, Any] = _gradients(name, chunks)(batches()[0])
    return result


def _near(chunked: Any, whole: Any, tolerance: float) -> None:
    """Within a part of the largest entry of each array."""
    for a, b in zip(jax.tree.leaves(chunked), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize(
    ("name", "chunks"), [pytest.param("tied", 4, marks=pytest.mark.slow), ("untied", 16)]
)
def test_losses_and_gradients_are_those_of_all_at_once(name: str, chunks: int) -> None:
    _near(_found(name, chunks)[0], _found(name, 1)[0], 1e-6)
    _near(_found(name, chunks)[1], _found(name, 1)[1], 2e-6)  # sums of 64 tokens in another order


def test_in_bfloat16_only_its_rounding_differs() -> None:
    _near(_found("bfloat16", 4)[0], _found("bfloat16", 1)[0], 1e-6)
    _near(_found("bfloat16", 4)[1], _found("bfloat16", 1)[1], 2**-7)


def test_members_in_one_program_are_each_as_alone() -> None:
    found, data = _gradients("tied", 4), jnp.asarray(batches()[:3])
    alone = jax.tree.map(lambda *each: np.stack(each), *map(found, data))
    _near(jax.vmap(found)(data), alone, 5e-6)  # batched products sum in another order too


def test_the_loss_itself_has_its_gradient_too() -> None:
    params = jax.jit(partial(init, program(science=ONE).spec, 16))(jax.random.key(0))
    found, whole = (
        jax.jit(jax.value_and_grad(partial(loss, program(science=ONE, logits_chunks=n).spec)))(
            params, batches()[0]
        )
        for n in (4, 1)
    )
    _near(found, whole, 2e-6)


def test_logits_are_never_there_all_at_once() -> None:
    """1024 tokens by 8192 words in float32 are 34 MB; of a chunk of 64 tokens, 2 MB."""
    model = replace(ONE.model, vocab_size=8192)
    batch = replace(ONE.batch, sequences=16, seq_len=64)
    science = replace(ONE, model=model, batch=batch)

    def temporaries(chunks: int) -> int:
        made = program(science=science, microbatch=16, logits_chunks=chunks)
        params = jax.eval_shape(partial(init, made.spec, 64), jax.random.key(0))
        windows = jax.ShapeDtypeStruct((16, 65), jnp.int32)
        compiled = jax.jit(partial(gradients, made)).lower(params, windows).compile()
        return int(compiled.memory_analysis().temp_size_in_bytes)

    logits = 4 * 1024 * 8192
    assert temporaries(1) > 2 * logits
    assert temporaries(16) < logits / 2
