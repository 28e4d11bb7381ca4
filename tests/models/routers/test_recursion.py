"""Mixture-of-Recursions beside the same recursions token by token."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import linen as nn

from experiments.devices.resolve import resolve
from models.config import TransformerConfig, find_part
from models.module import Spec
from models.routers._recursion import recur
from models.transformer import apply, empty_state, init
from scaling.common.errors import UserError

T, R = 6, 3
CONFIG = TransformerConfig(
    layers=R, width=8, heads=2, kv_heads=2, head_dim=4, ffn=12, vocab_size=11,
    sharing="cycle", recursion="token_choice", capacity_factor=1.5,
)  # fmt: skip
EXPERT = replace(CONFIG, recursion="expert_choice", capacity_factor=1.0)
X = jax.random.normal(jax.random.key(0), (2, T, 1))
W = {name: jax.random.normal(jax.random.key(i), (1, R)) for i, name in enumerate(("r", "a"), 4)}
PLACES = ((1, 2), (1, 4), (3, 6))
TOKENS = jax.random.randint(jax.random.key(1), (2, T), 0, 11)


def shared(x: Any, positions: Any) -> Any:
    """The layers: they see the tokens before, and where each was in its sequence."""
    return x.cumsum(1) + 0.3 * positions[..., None] + 1


def run(c: TransformerConfig, training: bool) -> tuple[np.ndarray, dict[str, float]]:
    def product(x: Any, name: str, columns: slice) -> Any:
        return x @ W[name[0]][:, columns]

    y, found = jax.jit(lambda x: recur(c, x, shared, product, training))(X)
    return np.asarray(y), {name: float(value) for name, value in found.items()}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def by_hand(c: TransformerConfig, training: bool) -> tuple[np.ndarray, list[float]]:
    """Of each sequence, recursion by recursion and token by token."""
    w = {name: np.asarray(value, np.float64) for name, value in W.items()}
    ends, had = [], np.zeros(R)
    for x in np.asarray(X, np.float64):
        first, p = x, np.exp(x @ w["r"]) / np.exp(x @ w["r"]).sum(-1, keepdims=True)
        left = list(range(T))
        for r in range(R):
            if c.recursion == "token_choice":
                left = [t for t in left if p[t].argmax() >= r][: c.slots_at(T, r)]
            elif training:
                best = sorted(left, key=lambda t: -x[t] @ w["r"][:, r])[: c.tokens_at(T, r)]
                left = sorted(best)
            elif r:
                left = [t for t in left if x[t] @ w["a"][:, r] > 0][: c.slots_at(T, r)]
            had[r] += len(left)
            y, now = x.copy(), shared(x[left][None], np.array([left]))[0]
            for k, t in enumerate(left):
                if c.recursion == "expert_choice":
                    y[t] = x[t] + 0.1 * sigmoid(x[t] @ w["r"][:, r]) * now[k]
                else:
                    y[t] = p[t].max() * now[k] + first[t] if p[t].argmax() == r else now[k]
            x = y
        ends.append(x)
    had /= 2 * T
    return np.stack(ends), [*(had[:-1] - had[1:]), had[-1]]


@pytest.mark.parametrize(("config", "training"), [(CONFIG, True), (EXPERT, True), (EXPERT, False)])
def test_each_token_has_the_recursions_that_its_router_chose(
    config: TransformerConfig, training: bool
) -> None:
    y, found = run(config, training)
    expected, histogram = by_hand(config, training)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    shares = [found[f"recursion_{k}"] for k in range(1, R + 1)]
    np.testing.assert_allclose(shares, histogram, atol=1e-6)
    assert (np.array(histogram) > 0.1).sum() > 1, "tokens differ in their recursions"
    assert found["recursions"] == pytest.approx(np.dot(shares, range(1, R + 1)))


@pytest.mark.parametrize(
    "mixer",
    ["attention"]
    + [
        pytest.param(x, marks=pytest.mark.slow)
        for x in ("sliding_window", "switch_head", "retention")
    ],
)
def test_rotary_positions_are_those_of_the_sequence(mixer: str) -> None:
    """Two tokens at 1 and 4 differ from two at 1 and 2, and not from two at 3 and 6."""
    module = find_part("models.mixers", mixer).module()(Spec(CONFIG))
    x = jax.random.normal(jax.random.key(2), (1, 2, 8))
    params = nn.meta.unbox(jax.jit(module.init)(jax.random.key(0), x))
    run = jax.jit(module.apply)
    near, far, moved = (run(params, x, positions=jnp.array([at])) for at in PLACES)
    np.testing.assert_allclose(far, moved, atol=1e-5)
    np.testing.assert_allclose(near, run(params, x), atol=1e-5)
    assert np.abs(near - far)[0, 1].max() > 1e-4


@pytest.mark.parametrize("config", [CONFIG, pytest.param(EXPERT, marks=pytest.mark.slow)])
def test_a_recursion_is_causal_as_it_says(config: TransformerConfig) -> None:
    """In evaluation always; in training expert choice takes slots from earlier tokens, and token
    choice is the same program."""
    other = jnp.stack([TOKENS, TOKENS.at[:, 3:].set(2), TOKENS.at[:, 3:].set(7)])
    for phase in ("training", "evaluation")[config.recursion == "token_choice" :]:
        spec: Any = Spec(config, phase=phase)
        params = init(spec, T, jax.random.key(3))
        now, *then = np.asarray(jax.jit(jax.vmap(partial(apply, spec, params)))(other))
        moved = np.abs(np.stack(then) - now)
        leaks = config.recursion == "expert_choice" and phase == "training"
        assert (moved[:, :, :3].max() > 0) == leaks
        assert moved[:, :, 3:].max() > 0


def test_a_program_that_recursions_cannot_have_is_refused() -> None:
    own = ("model.layers=4", "model.sharing=cycle", "model.recursion=token_choice")
    for fields, message in (
        (
            ["execution.program.layers=scan", "execution.layout.name=data"],
            "under model.recursion=token_choice no layers repeat",
        ),
        (
            ["execution.layout.name=pipeline", "execution.layout.stage=2"],
            "under model.recursion=token_choice no layers repeat",
        ),
        (
            ["execution.layout.name=sequence", "execution.layout.sequence=2"],
            "sequence=2: model.recursion=token_choice gathers tokens of whole",
        ),
    ):
        with pytest.raises(UserError, match=message):
            resolve(tiny.config(*own, *fields), "cpu", 2)
    with pytest.raises(UserError, match="generates no tokens one by one"):
        empty_state(Spec(CONFIG), 1, T)
