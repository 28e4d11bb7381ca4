"""Both LSTMs are their definitions, one position at a time in float64."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn

from models.config import TransformerConfig
from models.mixers._lstm import GATES, Lstm, QuasiLstm
from models.module import Spec

CONFIG = TransformerConfig(width=6, heads=2, kv_heads=2, head_dim=2, biases="all")
X = jax.random.normal(jax.random.key(1), (2, 5, 6))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _by_position(params: Any, recurrent: bool) -> np.ndarray:
    out = np.zeros(X.shape)
    for b in range(len(X)):
        c = h = np.zeros((2, 2))
        for t, x in enumerate(np.float64(X[b])):
            of = {}
            for name in GATES:
                of[name] = np.tensordot(x, params[name], 1) + params[f"{name}_bias"]
                if recurrent:
                    of[name] = of[name] + np.tensordot(h.ravel(), params[f"{name}_back"], 1)
            c = _sigmoid(of["forget"] + 1) * c + _sigmoid(of["input"]) * np.tanh(of["cell"])
            h = _sigmoid(of["output"]) * np.tanh(c)
            out[b, t] = np.tensordot(h, params["out"], 2) + params["out_bias"]
    return out


@pytest.mark.parametrize("kind", [QuasiLstm, Lstm])
def test_it_is_its_definition(kind: Any) -> None:
    module = kind(Spec(CONFIG))

    @jax.jit
    def run(key: jax.Array) -> Any:
        params = nn.meta.unbox(module.init(key, X))["params"]
        rough = jax.tree.map(lambda x: x + 0.1, params)
        return rough, module.apply({"params": rough}, X)

    params, found = run(jax.random.key(0))
    exact = jax.tree.map(np.float64, params)
    np.testing.assert_allclose(found, _by_position(exact, kind is Lstm), rtol=1e-5, atol=1e-5)
