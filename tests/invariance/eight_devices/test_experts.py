"""Experts on several devices have the curve of one device."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
import tiny
from shared_out import MODEL, TOLERANCE, curve, made, windows

from experiments.training.hypers import hypers
from experiments.training.layout_sharding import mesh, on, state_specs
from experiments.training.populations.programs import programs
from experiments.training.step import gradients
from scaling.common import plugins

EXPERTS = ("model.experts=4", "model.mlp=swiglu")
RECURSED = ("model.layers=4", "model.sharing=cycle", "execution.program.layers=unrolled")
LAYOUTS = {
    "expert 4": ("expert=4", "fsdp=1"),
    "expert 2, fsdp 2": ("expert=2", "fsdp=2"),
    "expert 2, tensor 2": ("expert=2", "tensor=2", "fsdp=1"),
}


def fields(name: str) -> list[str]:
    axes = ("name=expert", *LAYOUTS[name])
    return [*EXPERTS, *(f"execution.layout.{field}" for field in axes)]


PENALTIES = {
    "z_loss": 0.0,
    "balance_loss": 0.01,
    "router_z_loss": 0.001,
    "bias_loss": 0.1,
    "policy_loss": 0.1,
    "baseline_loss": 0.1,
    "auxiliary_loss": 0.1,
}


@cache
def differentiate(*assignments: str) -> tuple[Any, str]:
    """The gradients of the first batch at the first parameters, and the program of one device."""
    plan = made(*assignments)
    alone = made(*(x for x in assignments if not x.startswith("execution.layout.")))
    params = programs(alone).init(hypers(tiny.config(*MODEL).science)).params
    if plan.spec.layout.devices > 1:
        over = mesh(plan.spec.layout, jax.devices()[: plan.spec.layout.devices])
        params = jax.device_put(params, on(over, state_specs(plan).params))
    found = jax.jit(lambda p, b: gradients(plan, p, b, PENALTIES)[1])
    compiled = found.lower(params, windows()[0]).compile()
    return compiled(params, windows()[0]), compiled.as_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_has_the_curve_of_one_device(name: str) -> None:
    alone, (state, losses) = curve(*EXPERTS)[1], curve(*fields(name))
    assert alone[-1] < alone[0] - 0.1, "the run learns, so that equal curves mean something"
    np.testing.assert_allclose(losses, alone, rtol=TOLERANCE)
    weight = state.params["blocks"]["mlp"]["experts"]["in"]
    assert weight.addressable_shards[0].data.size == weight.size / 4


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_has_the_gradients_of_one_device(name: str) -> None:
    (alone, _), (shared, _) = differentiate(*EXPERTS), differentiate(*fields(name))
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * float(np.abs(theirs).max()))


@pytest.mark.parametrize(
    "axes",
    [
        ("name=sequence", "sequence=2", "fsdp=2"),
        pytest.param(("name=data", "data=8"), marks=pytest.mark.slow),
    ],
)
def test_grouped_products_have_the_gradients_of_slots_on_one_device(axes: tuple[str, ...]) -> None:
    layout = [f"execution.layout.{field}" for field in axes]
    (alone, _), (shared, _) = (
        differentiate(*EXPERTS, *more)
        for more in ((), (*layout, "execution.program.experts=grouped"))
    )
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * float(np.abs(theirs).max()))


@pytest.mark.parametrize(
    "axes",
    [
        ("stage=2", "expert=2", "parts=2"),
        pytest.param(("stage=2", "rounds=2"), marks=pytest.mark.slow),
    ],
)
def test_stages_with_experts_have_the_gradients_of_one_device(axes: tuple[str, ...]) -> None:
    """Losses of routers are means over sequences, so that parts change none of them."""
    own = (*EXPERTS, "model.layers=4", "model.embeddings=tied")
    layout = (f"execution.layout.{field}" for field in ("name=pipeline", *axes))
    (alone, _), (shared, _) = differentiate(*own), differentiate(*own, *layout)
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * float(np.abs(theirs).max()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "own",
    [
        *(f"router={name}" for name in plugins.names("models.routers")),
        *(f"pattern=attention+{name}" for name in plugins.names("models.ffn")),
    ],
)
def test_any_router_has_the_gradients_of_one_device(own: str) -> None:
    (alone, _), (shared, _) = (
        differentiate(*EXPERTS, f"model.{own}"),
        differentiate(*fields("expert 2, tensor 2"), f"model.{own}"),
    )
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * float(np.abs(theirs).max()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "own",
    [
        (*RECURSED, "model.recursion=token_choice"),
        (*RECURSED, "model.recursion=expert_choice"),
        ("model.weights=low_rank_sparse", "model.weights_density=0.2"),
    ],
)
def test_dense_models_have_the_gradients_of_one_device(own: tuple[str, ...]) -> None:
    axes = ("name=fsdp_tensor", "fsdp=2", "tensor=2")
    (alone, _), (shared, _) = (
        differentiate(*own, *(f"execution.layout.{field}" for field in layout))
        for layout in ((), axes)
    )
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * float(np.abs(theirs).max()))


@pytest.mark.parametrize("name", LAYOUTS)
def test_tokens_go_to_their_experts_and_back_by_all_to_all(name: str) -> None:
    """Forward and backward, once each in the body of a scan. Where each weight is whole or of one
    device, all else that moves is sums."""
    _, text = differentiate(*fields(name))
    found = re.findall(r" (all-gather|all-to-all|collective-permute)(?:-start)?\(", text)
    assert found.count("all-to-all") == 4
    if name == "expert 4":
        assert set(found) == {"all-to-all"}
