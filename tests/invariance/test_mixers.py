"""With every mixer too, a member of a population has the curve of its solo run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from curves import SCIENCE, batches, program, run

from experiments.training.step import init_state, train_chunk
from scaling.common import plugins

STEPS = 6
EACH = plugins.names("models.mixers")


@pytest.mark.slow
@pytest.mark.parametrize("mixer", EACH)
def test_a_member_of_a_population_has_the_curve_of_its_solo_run(mixer: str) -> None:
    """Each alone: layers of all of them, one on the other, amplify rounding to 1e-4 in 6 steps."""
    model = replace(SCIENCE.model, pattern=(mixer,), kv_heads=2)
    science = replace(SCIENCE, model=model)
    made = program(science=science, remat="block", layers="scan")
    data = batches()[:STEPS]
    alone = jax.jit(partial(train_chunk, made))
    members = [run(rate) for rate in (4e-3, 1e-3)]
    leaves = jax.tree.map(lambda *x: jnp.stack(x), *members)
    state = jax.jit(jax.vmap(partial(init_state, made)))(leaves)
    every = jnp.stack([data] * len(members))
    together = jax.jit(jax.vmap(partial(train_chunk, made)))(state, leaves, every)[1]["loss"]
    for member, losses in zip(members, together, strict=True):
        start = jax.jit(partial(init_state, made))(member)
        np.testing.assert_allclose(losses, alone(start, member, data)[1]["loss"], rtol=1e-5)
    assert np.abs(together[1] - together[0]).max() > 1e-3
