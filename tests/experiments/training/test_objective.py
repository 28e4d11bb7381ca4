"""A run with experts: its objective, its metrics, and the layouts that it cannot have."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from quick import quick_jit

from experiments.config.identity import identity
from experiments.plan.run import Run
from experiments.sweep.preflight import check_layouts
from experiments.training.hypers import hypers
from experiments.training.step import gradients, init_state, recipe, step
from models.transformer import stream_routed
from scaling.common.errors import UserError

CONFIG = tiny.config("model.experts=4", "model.capacity_factor=1.0")
RECIPE = recipe(CONFIG)
BATCH = jax.random.randint(jax.random.key(0), (4, 17), 0, 256)


@cache
def state() -> Any:
    return quick_jit(partial(init_state, RECIPE))(hypers(CONFIG.science))


def test_penalties_of_the_router_add_their_gradient_and_not_to_the_loss() -> None:
    params = state().params

    def routing(params: Any) -> Any:
        found = stream_routed(RECIPE.spec, params, BATCH[:, :-1])[1]
        return found["balance_loss"], found["router_z_loss"]

    @quick_jit
    def both(params: Any, b: Any, z: Any) -> Any:
        penalties = {"z_loss": 0.0, "balance_loss": b, "router_z_loss": z}
        return gradients(RECIPE, params, BATCH, penalties), jax.jacrev(routing)(params)

    (without, slopes), (with_them, _) = (both(params, *pair) for pair in ((0.0, 0.0), (0.5, 0.25)))
    jax.tree.map(np.testing.assert_array_equal, without[0], with_them[0])
    for ours, plain, balance, square in zip(
        *map(jax.tree.leaves, (with_them[1], without[1], *slopes)), strict=True
    ):
        expected = plain + 0.5 * balance + 0.25 * square
        np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=1e-6)
    router = [tree["blocks_0"]["mlp"]["router"] for tree in slopes]
    assert all(jnp.abs(slope).max() > 1e-3 for slope in router)  # so that they are seen


def test_coefficients_of_the_config_reach_the_step_and_its_metrics() -> None:
    advance = quick_jit(partial(step, RECIPE))
    found = {}
    for name in ("balance_loss", "router_z_loss"):
        leaves = hypers(tiny.config("model.experts=4", f"penalties.{name}=10.0").science)
        found[name] = advance(state(), leaves, BATCH)[1]
    _, plain = advance(state(), hypers(CONFIG.science), BATCH)
    for metrics in found.values():
        assert metrics["loss"] == plain["loss"]
        assert metrics["grad_norm"] > plain["grad_norm"] * 1.01
    assert plain["balance_loss"] >= 1
    assert 0 < plain["router_dropped"] < 0.5
    assert plain["router_z_loss"] > 0.5  # ln 4 of equal logits is 1.4


def test_a_dense_run_is_who_it_was_before_there_were_experts() -> None:
    dense = tiny.config("model.experts=0", "penalties.balance_loss=0.01")
    assert identity(dense.science) == identity(tiny.config().science) != identity(CONFIG.science)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ("model.experts=0",),
            "execution.layout.expert=4: a dense model has no experts to share out; "
            "set model.experts, or choose another layout",
        ),
        (
            ("model.experts=4", "model.layers=2", "execution.layout.stage=2"),
            "execution.layout.stage=2: stages pass on the residual stream alone, "
            "and routers have losses too; choose the layout expert",
        ),
        (
            ("model.experts=6",),
            "model.experts=6 does not divide by 4 (expert=4 of execution.layout); "
            "set it to a multiple of 4, or change the layout",
        ),
    ],
)
def test_experts_that_cannot_be_shared_out_are_one_line(
    assignments: tuple[str, ...], message: str
) -> None:
    layout = ("execution.layout.name=expert", "execution.layout.expert=4")
    with pytest.raises(UserError) as caught:
        check_layouts([Run(tiny.config(*layout, *assignments), rung=0)])
    assert str(caught.value) == message
