"""Experts that cost nothing, beside the same sums by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn

from models import part
from models.config import TransformerConfig
from models.module import ROUTERS, Spec
from models.routers._routes import balance_loss
from scaling.common.errors import UserError

PATTERN = "attention+zero_computation:constant=1"
CONFIG = TransformerConfig(
    layers=1, width=8, heads=2, kv_heads=2, head_dim=4, ffn=12, mlp="relu", experts=2,
    router="gating_residual", capacity_factor=9.0, pattern=(PATTERN,),
)  # fmt: skip
X = jax.random.normal(jax.random.key(0), (2, 6, 8))
BEFORE = jax.random.normal(jax.random.key(1), (2, 6, 5))


def test_each_token_has_its_experts_copies_and_constants() -> None:
    """Of two experts, a zero, a copy and a constant each token has two, by logits of two layers."""
    module = part.feed_forward(CONFIG.blocks[0][1]).module()(Spec(CONFIG))
    memory = {"logits": BEFORE}
    params: Any = nn.meta.unbox(jax.jit(module.init)(jax.random.key(2), X, memory))["params"]
    params["constants"] = jax.random.normal(jax.random.key(3), (1, 8))
    run = jax.jit(lambda p: module.apply({"params": p}, X, memory, mutable=[ROUTERS]))
    (found, handed), kept = run(params)
    p = jax.tree.map(lambda w: np.asarray(w, np.float64), params)
    x = np.asarray(X, np.float64)
    z = x @ p["router"] + np.asarray(BEFORE, np.float64) @ p["residual"]
    np.testing.assert_allclose(handed["logits"], z, rtol=1e-4, atol=1e-5)
    soft = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    chosen = soft >= np.sort(soft, axis=-1)[..., -2:-1]
    gates = np.where(chosen, soft, 0)
    a = np.exp(x @ p["mix"][:, 0])
    a /= a.sum(-1, keepdims=True)
    outputs = [
        *(np.maximum(x @ p["experts"]["in"][e], 0) @ p["experts"]["out"][e] for e in (0, 1)),
        np.zeros_like(x),
        x,
        a[..., :1] * x + a[..., 1:] * p["constants"],
    ]
    y = sum(gates[..., [e]] * output for e, output in enumerate(outputs))
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-5)
    (routing,) = kept[ROUTERS]["routing"]
    free = float(routing["router_free"])
    assert free == pytest.approx(chosen[..., 2:].sum(-1).mean() / 2)
    assert 0.1 < free < 0.9, "tokens choose both kinds"
    assert float(routing["router_dropped"]) == pytest.approx(0, abs=1e-6)


def test_the_balance_is_least_where_the_shares_of_the_two_kinds_are_as_set() -> None:
    """Slots are as many, 2 * 6 * 1.5 / (1.5 + 3) = 4 of two experts."""
    module: Any = part.feed_forward(CONFIG.blocks[0][1]).module()(
        Spec(replace(CONFIG, capacity_factor=1.0))
    )
    assert module.capacity(6) == 2

    def loss(kind: float) -> float:
        """Of shares in ratio `kind` : 1."""
        p = np.array([[[kind, kind, 1, 1, 1]]]) / (2 * kind + 3)
        return float(balance_loss.__wrapped__(p, p, 1, module.price))

    assert loss(0.75) == pytest.approx(1)
    assert min(loss(0.7), loss(0.8)) > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"router": "expert_choice"}, "model.router=expert_choice gives each token"),
        ({"router": "hash"}, "model.router=hash gives each token"),
        ({"pattern": ("attention+zero_computation:share=2",)}, r"share=2: must lie in \(0, 1\]"),
        ({"pattern": ("attention+experts", PATTERN), "layers": 2}, "give all the same part"),
        ({"experts": 0}, "experts need model.experts"),
    ],
)
def test_a_model_that_cannot_have_it_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(CONFIG, **changes)
