"""A run with experts: its objective, its metrics, and the layouts that it cannot have."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from experiments.config.identity import identity
from experiments.plan.run import Run
from experiments.sweep.preflight import check_layouts
from experiments.training.hypers import hypers
from experiments.training.objective import Teaching, _taught
from experiments.training.step import gradients, init_state, recipe, step
from models.transformer import stream_routed
from scaling.common.errors import UserError
from scaling.machines.program import PLAIN

CONFIG = tiny.config("model.experts=4", "model.capacity_factor=1.0")
RECIPE = recipe(CONFIG)
BATCH = jax.random.randint(jax.random.key(0), (4, 17), 0, 256)


@cache
def state() -> Any:
    return jax.jit(partial(init_state, RECIPE))(hypers(CONFIG.science))


def test_penalties_of_the_router_add_their_gradient_and_not_to_the_loss() -> None:
    params = state().params

    def routing(params: Any) -> Any:
        found = stream_routed(RECIPE.spec, params, BATCH[:, :-1])[1]
        return found["balance_loss"], found["router_z_loss"]

    @jax.jit
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
    advance = jax.jit(partial(step, RECIPE))
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
            ("model.experts=4", "model.layers=2", "model.router=hash", "execution.layout.stage=2"),
            "execution.layout.stage=2: stages pass on the residual stream alone, "
            "and model.router=hash reads more; choose top_k, or the layout expert",
        ),
        (
            ("model.experts=6",),
            "model.experts=6 does not divide by 4 (expert=4 of execution.layout); "
            "set it to a multiple of 4, or change the layout",
        ),
        (
            ("model.experts=4", "execution.program.experts=grouped"),
            "execution.program.experts=grouped: execution.layout.expert=4 shares out the weights "
            "of experts; set execution.program.experts=slots, or choose fsdp",
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


def test_teachers_give_the_mean_of_their_logits_and_no_gradient() -> None:
    """(1 - a) CE + a T^2 KL, from the logits alone, whole and in chunks."""
    a, T, spec = jnp.float32(0.25), jnp.float32(2.0), RECIPE.spec
    rng = np.random.default_rng(0)
    sizes = [((2, 8, d), (d, 16)) for d in (4, 3, 5)]
    streams = [tuple(rng.normal(size=size).astype("f") for size in pair) for pair in sizes]
    labels = rng.integers(0, 16, (2, 8))

    def by_hand(streams: Any) -> Any:
        s, *t = [x @ w for x, w in streams]
        ln_p = jax.nn.log_softmax((t[0] + t[1]) / 2 / T)
        right = jnp.take_along_axis(jax.nn.log_softmax(s), labels[..., None], -1)
        divergence = (jnp.exp(ln_p) * (ln_p - jax.nn.log_softmax(s / T))).sum(-1).mean()
        return -(1 - a) * right.mean() + a * T**2 * divergence

    def ours(n: int, streams: Any) -> Any:
        own = replace(spec, program=replace(PLAIN, logits_chunks=n))
        taught = Teaching(a, T, ())
        return _taught(own, *streams[0], labels, 0.0, (spec, spec), streams[1:], taught)[0]

    expected, slopes = jax.jit(jax.value_and_grad(by_hand))(streams)
    for n in (1, 4):
        value, found = jax.jit(jax.value_and_grad(partial(ours, n)))(streams)
        assert value == pytest.approx(float(expected), rel=1e-5)
        for one, other in zip(found[0], slopes[0], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        assert not any(leaf.any() for leaf in jax.tree.leaves(found[1:]))
