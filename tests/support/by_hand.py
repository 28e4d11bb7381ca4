"""The transformer from its formulas, in float64 NumPy, one sequence and one head at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from models.config import TransformerConfig
from scaling.parametrization.parametrization import Parametrization

Tree = Mapping[str, Any]
ACTIVATIONS = {
    "gelu": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "relu2": lambda x: np.maximum(x, 0) ** 2,
    "swiglu": lambda x: x / (1 + np.exp(-x)),
}


def logits(
    c: TransformerConfig, p: Parametrization, params: Tree, tokens: np.ndarray
) -> np.ndarray:
    """[T] tokens -> [T, V]."""
    x = params["embedding"][tokens]
    if c.positions == "learned":
        x = x + params["position"]
    if c.embedding_norm == "rmsnorm":
        x = _norm("rmsnorm", x, params, "embedding_norm")
    branch = (c.layers / p.base_layers) ** -1 if p.name == "completep" else 1
    for layer in range(c.layers):
        block = params[f"blocks_{_owner(c, layer)}"]
        again = layer - _owner(c, layer)
        end = f"_{again}" if again and c.sharing == "cycle_but_norms" else ""
        if c.block == "parallel":
            y = _norm(c.norm, x, block, f"norm{end}")
            x = x + branch * (_attention(c, p, block["attention"], y) + _ffn(c, p, block["mlp"], y))
        else:
            y = _norm(c.norm, x, block, f"attention_norm{end}")
            raw = x if c.norms == "peri" else y
            x = x + branch * _attention(c, p, block["attention"], y, raw)
            y = _norm(c.norm, x, block, f"mlp_norm{end}")
            x = x + branch * _ffn(c, p, block["mlp"], y, x if c.norms == "peri" else y)
    x = _norm(c.norm, x, params, "final_norm")
    m = c.width / p.base_width if p.name != "sp" else 1
    return x @ (params["embedding"].T if c.embeddings == "tied" else params["readout"]) / m


def _owner(c: TransformerConfig, layer: int) -> int:
    """The layer whose weights it has; in the models of the tests one layer is shared."""
    last = c.layers - 1
    return {
        "none": layer,
        "cycle": 0,
        "middle_cycle": layer if layer in (0, last) else 1,
        "cycle_but_norms": 0,
    }[c.sharing]


def _norm(kind: str, x: np.ndarray, params: Tree, name: str) -> np.ndarray:
    own = params.get(name, {})  # without gain and bias a norm has no weights
    if kind == "layernorm":
        x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    return x * own.get("gain", 1) + own.get("bias", 0)


def _attention(
    c: TransformerConfig,
    p: Parametrization,
    params: Tree,
    x: np.ndarray,
    raw: np.ndarray | None = None,
) -> np.ndarray:
    """Values are of `raw`, if it is given."""
    scale = math.sqrt(p.base_head_dim) / c.head_dim if p.name != "sp" else c.head_dim**-0.5
    out = np.zeros_like(x) + params.get("out_bias", 0)
    for h in range(c.heads):
        group = h // (c.heads // c.kv_heads)
        q = x @ params["query"][:, h] + params.get("query_bias", np.zeros((c.heads, 1)))[h]
        k, v = (
            y @ params[n][:, group] + params.get(f"{n}_bias", np.zeros((c.kv_heads, 1)))[group]
            for n, y in (("key", x), ("value", x if raw is None else raw))
        )
        if c.qk_norm == "rmsnorm":
            q, k = (_norm("rmsnorm", y, params, n) for y, n in ((q, "query_norm"), (k, "key_norm")))
        if c.positions == "rope":
            q, k = _turn(q), _turn(k)
        for t in range(len(x)):
            weight = np.exp(scale * k[: t + 1] @ q[t])
            out[t] += (weight / weight.sum()) @ v[: t + 1] @ params["out"][h]
    return out


def _turn(x: np.ndarray) -> np.ndarray:
    """Pairs as complex numbers, times exp(i t 10000^(-2j/K))."""
    half = x.shape[1] // 2
    angles = np.arange(len(x))[:, None] * 10_000.0 ** (-np.arange(half) / half)
    turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=1)


def _ffn(
    c: TransformerConfig,
    p: Parametrization,
    params: Tree,
    x: np.ndarray,
    raw: np.ndarray | None = None,
) -> np.ndarray:
    """Experts applied token by token, each up to its capacity; the router alone reads `x`."""
    raw = x if raw is None else raw
    if not c.experts:
        return _mlp(c, params, raw)
    probabilities = np.exp(x @ params["router"] / (c.width / p.base_width if p.name != "sp" else 1))
    probabilities /= probabilities.sum(-1, keepdims=True)
    out, room = np.zeros_like(x), [c.capacity(len(x))] * c.experts
    for t, row in enumerate(probabilities):
        for e in sorted(range(c.experts), key=lambda e, row=row: -row[e])[: c.experts_active]:
            if room[e]:
                room[e] -= 1
                own = {name: weight[e] for name, weight in params["experts"].items()}
                out[t] += row[e] * _mlp(c, own, raw[t])
    return out


def _mlp(c: TransformerConfig, params: Tree, x: np.ndarray) -> np.ndarray:
    def dense(y: np.ndarray, name: str) -> np.ndarray:
        return y @ params[name] + params.get(f"{name}_bias", 0)  # type: ignore[no-any-return]

    act, y = ACTIVATIONS[c.mlp], dense(x, "in")
    return dense(act(dense(x, "gate")) * y if c.mlp == "swiglu" else act(y), "out")
