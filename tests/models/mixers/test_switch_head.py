"""Experts of the values and outputs of a head, beside the same sums by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from models import part
from models.config import TransformerConfig
from models.mixers._attention import attend
from models.module import Spec

CONFIG = TransformerConfig(
    layers=1, width=8, heads=4, kv_heads=2, head_dim=4, positions="none",
    capacity_factor=3.0, pattern=("switch_head:experts=3:active=1",), biases="all",
)  # fmt: skip
X = jax.random.normal(jax.random.key(0), (2, 6, 8))


def test_each_token_has_the_values_and_outputs_of_its_experts() -> None:
    spec = Spec(CONFIG)
    module = part.mixer(CONFIG.pattern[0]).module()(spec)
    params: Any = nn.meta.unbox(jax.jit(module.init)(jax.random.key(1), X))["params"]
    found = jax.jit(lambda p, x: module.apply({"params": p}, x))(params, X)
    p = {name: np.asarray(w, np.float64) for name, w in params.items()}
    x = np.asarray(X, np.float64)
    q, k = (np.einsum("btd,dhk->bthk", x, p[name]) for name in ("query", "key"))

    def gates(name: str) -> Any:
        """Of the one expert with the highest sigmoid; 0 of the others."""
        s = 1 / (1 + np.exp(-np.einsum("btd,dhx->bthx", x, p[name])))
        return np.where(s == s.max(-1, keepdims=True), s, 0)

    v = np.einsum("btgx,xdgk,btd->btgk", gates("value_router"), p["value"], x) + p["value_bias"]
    q, k, v = (jnp.asarray(y, jnp.float32) for y in (q + p["query_bias"], k + p["key_bias"], v))
    y = np.asarray(attend(q, k, v, spec.parametrization.attention_factor(4), "xla"), np.float64)
    y = np.einsum("bthx,xhkd,bthk->btd", gates("out_router"), p["out"], y) + p["out_bias"]
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-5)


def test_a_token_that_finds_its_expert_full_is_dropped_there_alone() -> None:
    """Of six tokens, all on one of two experts, a capacity of three takes the first three."""
    few = replace(CONFIG, capacity_factor=1.0, pattern=("switch_head:experts=2:active=1",))
    module = part.mixer(few.pattern[0]).module()(Spec(few))
    x = jnp.abs(X)
    params: Any = nn.meta.unbox(jax.jit(module.init)(jax.random.key(1), x))["params"]
    first = jnp.zeros((8, 4, 2)).at[..., 0].set(5.0)
    params = params | {"out_router": first, "value_router": first[:, :2]}
    y = jax.jit(lambda p, x: module.apply({"params": p}, x))(params, x)
    assert float(np.abs(y[:, :3]).min()) > 0
    np.testing.assert_array_equal(y[:, 3:], 0)
