"""With experts too, how a run is compiled and who trains beside it does not change its curve."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from curves import CHUNK, SCIENCE, STEPS, batches, program, run, train
from quick import cases

from experiments.training.step import Recipe, init_state, train_chunk
from models import part
from scaling.common import plugins

MODEL = replace(SCIENCE.model, experts=4, experts_active=2)
MODELS = {
    **{name: replace(MODEL, router=name) for name in plugins.names("models.routers")},
    # REINFORCE, drawn by tokens and layer; one layer twice, and norms before routers alone
    "rl_r, shared": replace(MODEL, router="rl_r", sharing="cycle", norms="peri"),
    "zero computation": replace(
        MODEL, router="gating_residual", pattern=("attention+zero_computation",)
    ),
}
MODELS |= {
    f"recursion, {name}": replace(
        SCIENCE.model, layers=4, layers_unique=2, sharing="cycle", recursion=name
    )
    for name in part.RECURSIONS
}
NAMES = cases(MODELS, quick=("top_k",))


def scanned(name: str) -> Recipe:
    layers = "scan" if MODELS[name].repeats_exactly else "unrolled"
    return program(science=replace(SCIENCE, model=MODELS[name]), layers=layers)


@cache
def reference(name: str) -> np.ndarray:
    _, losses = train(scanned(name), run(), batches())
    assert losses[-1] < losses[0] - 0.1, "the run learns, so that equal curves mean something"
    return losses


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("microbatch", "settings"),
    [
        pytest.param(1, {"backward": "barrier"}, marks=pytest.mark.slow),
        (2, {"layers": "scan", "remat": "block", "logits_chunks": 4}),
    ],
)
def test_any_program_has_the_same_curve(
    name: str, microbatch: int, settings: dict[str, Any]
) -> None:
    science = replace(SCIENCE, model=MODELS[name])
    if not science.model.repeats_exactly:
        settings = {**settings, "layers": "unrolled"}
    _, losses = train(program(microbatch, science, **settings), run(), batches())
    np.testing.assert_allclose(losses, reference(name), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_member_of_a_population_has_the_curve_of_its_solo_run(name: str) -> None:
    members = [run(rate) for rate in (4e-3, 1e-3)]
    leaves = jax.tree.map(lambda *x: jnp.stack(x), *members)
    starting, stepping = (
        jax.jit(jax.vmap(partial(f, scanned(name)))) for f in (init_state, train_chunk)
    )
    state, found = starting(leaves), []
    for start in range(0, STEPS, CHUNK):
        data = np.stack([batches()[start : start + CHUNK]] * len(members))
        state, metrics = stepping(state, leaves, data)
        found.append(metrics["loss"])
    together = np.concatenate(jax.device_get(found), axis=1)
    np.testing.assert_allclose(together[0], reference(name), rtol=1e-5)
    assert np.abs(together[1] - together[0]).max() > 0.01
