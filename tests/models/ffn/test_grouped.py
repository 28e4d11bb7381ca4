"""Grouped products of experts have the numbers of slots, without any empty one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from quick import cases
from shared_out import apart

from models.config import TransformerConfig
from models.ffn._grouped import Grouped, group
from models.ffn._mlp import Mlp
from models.module import Spec
from models.routers._routes import queue
from models.transformer import apply, init
from scaling.common import plugins
from scaling.counting.formulas import flops_model
from scaling.counting.traced_flops import matmul_flops
from scaling.machines.program import PLAIN

CONTEXT = 8
CONFIG = TransformerConfig(
    layers=1, width=8, heads=2, kv_heads=2, head_dim=4, ffn=12, vocab_size=11, experts=4,
    capacity_factor=2.0,
)  # fmt: skip
TOKENS = jax.random.randint(jax.random.key(1), (3, CONTEXT), 0, 11)
GROUPED = replace(PLAIN, experts="grouped")
EVERY = {
    **{name: {"router": name, "layers": 2} for name in plugins.names("models.routers")},
    "dropping": {"capacity_factor": 0.75},
    "gated, biased": {"mlp": "swiglu", "biases": "all", "router": "sigmoid"},
    "ternary": {"quantized": "ternary"},
    "shared, peri": {"pattern": ("attention+experts:shared=1",), "norms": "peri"},
    "MoE++": {"pattern": ("attention+zero_computation",), "router": "gating_residual"},
}
EACH = [(name, backward) for name in EVERY for backward in ("plain", "barrier")]
EACH_QUICK = [("dropping", "barrier"), ("gated, biased", "plain")]


@cache
def _params(config: TransformerConfig) -> Any:
    return jax.jit(partial(init, Spec(config), CONTEXT))(jax.random.key(0))


def _both(config: TransformerConfig, program: Any, compute: str = "float32") -> list[Any]:
    """The loss and its gradients by slots, and by this program."""

    def loss(program: Any, params: Any) -> Any:
        spec = Spec(config, program=program, compute=compute, phase="training")
        return jnp.square(apply(spec, params, TOKENS)).mean()

    return [
        jax.jit(jax.value_and_grad(partial(loss, one)))(_params(config)) for one in (PLAIN, program)
    ]


@pytest.mark.parametrize("case", cases(EACH, EACH_QUICK), ids=" ".join)
def test_losses_and_gradients_are_those_of_slots(case: tuple[str, Any]) -> None:
    name, backward = case
    slots, grouped = _both(replace(CONFIG, **EVERY[name]), replace(GROUPED, backward=backward))
    assert apart(grouped[0], slots[0]) < 1e-6
    assert apart(grouped[1], slots[1]) < 1e-6


def test_rows_by_hand() -> None:
    """Four tokens, two of three experts each; token 3 was dropped by expert 0. In blocks of 3
    expert 0 has two rows and an empty one, expert 1 four and two, expert 2 one and two."""
    expert = jnp.array([[0, 1], [2, 1], [0, 1], [3, 1]])
    weight = jnp.arange(1.0, 9).reshape(4, 2)
    way, sizes = group(expert, weight, experts=3, rows=7, multiple=1)
    np.testing.assert_array_equal(sizes, [2, 4, 1])
    np.testing.assert_array_equal(way.token, [[0, 2, 0, 1, 2, 3, 1]])
    np.testing.assert_array_equal(way.weight, [[1, 5, 2, 4, 6, 8, 3]])
    np.testing.assert_array_equal(way.slot, [[[0, 2], [6, 3], [1, 4], [7, 5]]])
    way, sizes = group(expert, weight, experts=3, rows=7, multiple=3)
    np.testing.assert_array_equal(sizes, [3, 6, 3])
    np.testing.assert_array_equal(way.token, [[0, 2, 4, 0, 1, 2, 3, 4, 4, 1, 4, 4, 4, 4, 4]])
    np.testing.assert_array_equal(way.slot, [[[0, 3], [9, 4], [1, 5], [15, 6]]])
    assert way.weight[0, 2] == way.weight[0, 12] == 0


@pytest.mark.parametrize("backward", ["plain", "barrier"])
def test_no_token_is_dropped_where_all_choose_one_expert(backward: Any) -> None:
    """Every token gets the output of its expert."""
    config = replace(CONFIG, layers=1, experts_active=1, capacity_factor=4.0)
    x = jax.random.normal(jax.random.key(2), (2, CONTEXT, 8))
    choice = jnp.full((2, CONTEXT, 1), 2)
    routes, _ = queue(choice, jnp.ones((2, CONTEXT, 4)), 4, config.capacity(CONTEXT))
    module = Grouped(Spec(config, program=replace(GROUPED, backward=backward)))
    params = nn.meta.unbox(module.init(jax.random.key(0), x, routes))
    own = {name: w[2] for name, w in params["params"].items()}
    expected = Mlp(Spec(config)).apply({"params": own}, x)
    np.testing.assert_allclose(module.apply(params, x, routes), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["top_k", "gated, biased"])
def test_flops_of_the_model_are_those_of_the_traced_program(name: str) -> None:
    """Forward, backward and mapped over members, at slots of which half are empty."""
    config = replace(CONFIG, **EVERY[name])
    spec = Spec(config, program=GROUPED)
    forward = matmul_flops(partial(apply, spec), _params(config), TOKENS)
    wanted = flops_model(config.dims(CONTEXT)) * TOKENS.size
    assert 3 * forward == wanted
    slope = jax.grad(lambda params: jnp.sin(apply(spec, params, TOKENS)).sum())
    assert matmul_flops(slope, _params(config)) == wanted
    two = jax.tree.map(lambda w: jnp.stack([w, w]), _params(config))
    assert matmul_flops(jax.vmap(slope), two) == 2 * wanted


@pytest.mark.parametrize("backward", cases(("plain", "barrier"), ("plain",)))
def test_a_member_of_a_population_has_the_gradients_of_its_solo_run(backward: Any) -> None:
    spec = Spec(CONFIG, program=replace(GROUPED, backward=backward))
    slope = jax.grad(lambda params: jnp.sin(apply(spec, params, TOKENS)).mean())
    members = [_params(CONFIG), jax.tree.map(lambda w: -0.7 * w, _params(CONFIG))]
    stack = jax.tree.map(lambda *w: jnp.stack(w), *members)
    together, alone = jax.jit(jax.vmap(slope))(stack), jax.jit(slope)
    for k, own in enumerate(members):
        assert apart(jax.tree.map(lambda w, k=k: w[k], together), alone(own)) < 1e-6


@pytest.mark.slow
def test_bfloat16_differs_by_its_rounding() -> None:
    slots, grouped = _both(CONFIG, GROUPED, "bfloat16")
    assert apart(grouped, slots) < 0.02


@pytest.mark.slow
def test_remat_changes_nothing() -> None:
    _, again = _both(CONFIG, replace(GROUPED, remat="block"))
    assert apart(again, _both(CONFIG, GROUPED)[1]) < 1e-6
