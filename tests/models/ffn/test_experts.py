"""Tokens reach the experts that they chose, and come back with their outputs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.config import TransformerConfig
from models.module import Spec
from models.routers._routes import Seen, combine, dispatch
from models.routers._top_k import route
from models.transformer import apply, init, stream_routed

CONTEXT = 8
CONFIG = TransformerConfig(
    layers=2, width=8, heads=2, kv_heads=2, head_dim=4, ffn=12, vocab_size=11, experts=4
)
TOKENS = jax.random.randint(jax.random.key(1), (2, CONTEXT), 0, 11)


def _route(logits: Any, active: int, capacity: int) -> Any:
    """The router reads the logits alone."""
    experts = logits.shape[-1]
    seen = Seen(logits, lambda x, name: x, {}, {}, experts, active, capacity, training=True)
    return route(seen)[:2]


def _params(config: TransformerConfig) -> Any:
    return jax.jit(partial(init, Spec(config), CONTEXT))(jax.random.key(0))


def test_routes_by_hand() -> None:
    """Four tokens, two of three experts each, two slots of an expert: 0 is full for token 3."""
    p = np.array([[[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.6, 0.1, 0.3], [0.7, 0.2, 0.1]]])
    routes, routing = _route(jnp.log(jnp.float32(p)), active=2, capacity=2)
    np.testing.assert_array_equal(routes.token, [[0, 2, 0, 1, 1, 2]])
    np.testing.assert_array_equal(routes.slot, [[[0, 2], [4, 3], [1, 5], [6, 6]]])
    np.testing.assert_allclose(routes.weight, [[0.5, 0.6, 0.3, 0.3, 0.5, 0.3]], rtol=1e-6)
    # token 3 chose 0 and 1, both full
    assert float(routing["router_dropped"]) == 2 / 8
    # shares of choices 3/8, 3/8, 2/8 and mean probabilities 0.5, 0.225, 0.275
    balance = 3 * (3 / 8 * 0.5 + 3 / 8 * 0.225 + 2 / 8 * 0.275)
    assert float(routing["balance_loss"]) == pytest.approx(balance, rel=1e-6)
    assert float(routing["router_z_loss"]) == pytest.approx(0, abs=1e-12)


def test_an_empty_slot_has_no_token() -> None:
    routes, routing = _route(jnp.zeros((1, 3, 4)), active=1, capacity=2)  # all to the first
    np.testing.assert_array_equal(routes.token, [[0, 1, 3, 3, 3, 3, 3, 3]])
    np.testing.assert_array_equal(routes.weight[0, 2:], 0)
    assert float(routing["router_dropped"]) == pytest.approx(1 / 3)
    slots = dispatch(jnp.ones((1, 3, 5)), routes.token, routes.slot)
    np.testing.assert_array_equal(slots[0, 2:], 0)


def test_there_and_back_are_the_products_with_a_matrix_and_its_transpose() -> None:
    """And so are their gradients: slots of a sequence are S = M x, tokens x = M^T S."""
    keys = jax.random.split(jax.random.key(0), 3)
    routes, _ = _route(jax.random.normal(keys[0], (2, 6, 4)), active=2, capacity=2)
    matrix = jax.nn.one_hot(routes.token, 6)  # a row of zeros for an empty slot
    x, y = (jax.random.normal(key, (2, n, 3)) for key, n in zip(keys[1:], (6, 8), strict=True))
    for function, formula, value in (
        (dispatch, "bst,btd->bsd", x),
        (combine, "bst,bsd->btd", y),
    ):
        ours = jax.vjp(lambda v, f=function: f(v, routes.token, routes.slot), value)
        plain = jax.vjp(lambda v, f=formula: jnp.einsum(f, matrix, v), value)
        np.testing.assert_allclose(ours[0], plain[0], rtol=1e-6)
        back = jnp.cos(1.0 + jnp.arange(ours[0].size)).reshape(ours[0].shape)
        np.testing.assert_allclose(ours[1](back)[0], plain[1](back)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
def test_one_expert_is_the_dense_model(mlp: Any) -> None:
    single = replace(CONFIG, experts=1, experts_active=1, mlp=mlp, biases="all")
    params = _params(single)
    dense = dict(params)
    for name in ("blocks_0", "blocks_1"):
        experts = params[name]["mlp"]["experts"]
        dense[name] = params[name] | {"mlp": jax.tree.map(lambda w: w[0], experts)}
    logits = [
        jax.jit(partial(apply, Spec(config)))(weights, TOKENS)
        for config, weights in ((single, params), (replace(single, experts=0), dense))
    ]
    np.testing.assert_allclose(*logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_later_token_takes_no_slot_from_an_earlier_one(factor: float) -> None:
    """Whatever comes after position 3, it and those before it get the same, full experts or not."""
    spec = Spec(replace(CONFIG, capacity_factor=factor))
    run = jax.jit(partial(stream_routed, spec, _params(spec.config)))
    (now, _), routing = run(TOKENS)
    assert (float(routing["router_dropped"]) > 0) == (factor < 2), "the experts are full at times"
    for seed in range(5):
        other = TOKENS.at[:, 4:].set(jax.random.randint(jax.random.key(seed), (2, 4), 0, 11))
        (then, _), _ = run(other)
        np.testing.assert_array_equal(now[:, :4], then[:, :4])
        assert np.abs(now - then)[:, 4:].max() > 0


def test_experts_are_drawn_apart() -> None:
    weight = np.asarray(_params(CONFIG)["blocks_0"]["mlp"]["experts"]["in"])
    assert weight.shape == (4, 8, 12)
    assert weight.std() == pytest.approx(8**-0.5, rel=0.1)
    assert all(np.abs(weight[0] - other).max() > 0.1 for other in weight[1:])
