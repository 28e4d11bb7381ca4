"""Every router found: causal as it says, the same routes from both sides, and its own promise."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.training.objective import reinforce
from models import part
from models.config import TransformerConfig
from models.routers._rl_r import gumbel
from models.routers._routes import Routed, Seen
from models.routers._s_base import plan
from models.routers._sigmoid import entropy_loss
from scaling.common import plugins
from scaling.common.alphabet import parse
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.tables import Family
from scaling.parametrization.weight import Weight

ROUTERS = plugins.names("models.routers")
LENGTHS = {"d": 5, "r": 4}
B, T, ACTIVE, CAPACITY, KEPT = 3, 12, 2, 7, 8
X = jax.random.normal(jax.random.key(0), (B, T, LENGTHS["d"]))
TOKENS = jax.random.randint(jax.random.key(1), (B, T), 0, 50)


def answer(name: str, training: bool, x: jax.Array, tokens: jax.Array) -> Routed:
    """The router on weights at random."""
    router = part.router(name)
    lengths = {**LENGTHS, **router.letters(TransformerConfig())}
    every = {**router.weights, **router.shared}
    weights = {
        each: jax.random.normal(jax.random.key(i), [lengths[a] for a in parse(letters).axes])
        for i, (each, (_, letters)) in enumerate(every.items())
    }
    carried = {
        each: jnp.zeros((B, T, *(lengths[a] for a in letters)))
        for each, letters in router.carries.items()
    }
    seen = Seen(
        x=x,
        product=lambda x, name: jnp.tensordot(x, weights[name], 1),
        weights=weights,
        memory={"tokens": tokens, **carried},
        experts=LENGTHS["r"],
        active=ACTIVE,
        capacity=CAPACITY,
        training=training,
    )
    found: Routed = router.route()(seen)
    return found


@pytest.mark.parametrize("name", ROUTERS)
def test_a_router_is_causal_as_it_says_and_its_routes_are_one_assignment(name: str) -> None:
    x = jnp.stack([X, X.at[:, KEPT:].multiply(-3)])
    tokens = jnp.stack([TOKENS, TOKENS.at[:, KEPT:].add(1)])
    phases = [jax.vmap(partial(answer, name, training)) for training in (True, False)]
    training, evaluation = jax.jit(lambda: [phase(x, tokens) for phase in phases])()
    for found, causal in ((training, part.router(name).causal), (evaluation, True)):
        now, then = (jax.tree.map(lambda leaf, k=k: np.asarray(leaf[k]), found) for k in (0, 1))
        same = [
            np.array_equal(before[:, :KEPT], after[:, :KEPT])
            for before, after in ((now.gates, then.gates), (now.routes.slot, then.routes.slot))
        ]
        assert all(same) == causal
        assert np.abs(now.gates - then.gates)[:, KEPT:].max() > 0, "the later tokens do move"
        _check(now)


def _check(routed: Routed) -> None:
    """Slot n holds token t exactly where n is among the slots of t, with the weight of its gate."""
    token, slot, weight = map(np.asarray, routed.routes)
    gates, N = np.asarray(routed.gates), token.shape[1]
    assert LENGTHS["r"] * CAPACITY == N
    seen = set()
    for b, t, k in np.ndindex(*slot.shape):
        if (n := slot[b, t, k]) < N:
            assert token[b, n] == t
            assert weight[b, n] == pytest.approx(gates[b, t, n // CAPACITY], rel=1e-6)
            seen.add((b, n))
    filled = {(b, n) for b, n in zip(*np.nonzero(token < T), strict=True)}
    assert seen == filled, "a filled slot is the slot of its token"


def test_the_routers_are_found() -> None:
    assert {"top_k", "sigmoid", "hash", "s_base", "rl_r", "expert_choice", "loss_free"} <= set(
        ROUTERS
    )
    assert {name for name in ROUTERS if not part.router(name).causal} == {"s_base", "expert_choice"}


def test_a_recurrent_router_keeps_a_state_of_gates_by_hand() -> None:
    """Of one number, with all weights 1 but for the biases of the gates."""
    weights = {"router": jnp.ones((5, 1)), "choice": jnp.array([[1.0, 0, 0, 0]])}
    weights |= {"gates": jnp.ones((1, 3, 1)), "gates_back": jnp.ones((1, 3, 1))}
    weights |= {"gates_bias": jnp.array([[0.5], [0], [0]]), "gates_back_bias": jnp.zeros((3, 1))}
    h, x = np.full((B, T, 1), 0.3), np.asarray(X.sum(-1, keepdims=True))
    seen = Seen(X, lambda x, name: jnp.tensordot(x, weights[name], 1), weights,
                {"state": jnp.asarray(h, jnp.float32)}, 4, 1, T, training=True)  # fmt: skip
    found = part.router("recurrent").route()(seen)
    keep, reset = (1 / (1 + np.exp(-(x + h + bias))) for bias in (0.5, 0))
    state = (1 - keep) * np.tanh(x + reset * h) + keep * h
    np.testing.assert_allclose(found.memory["state"], state, rtol=1e-4, atol=1e-5)
    first = np.exp(state[..., 0]) / (np.exp(state[..., 0]) + 3)
    np.testing.assert_allclose(
        found.gates[..., 0], np.where(state[..., 0] >= 0, first, 0), rtol=1e-4
    )


def test_a_balanced_plan_has_even_columns() -> None:
    """Though the logits all prefer one expert."""
    logits = jax.random.normal(jax.random.key(0), (2, 32, 4)) + jnp.array([3.0, 0, 0, 0])
    found = np.exp(jax.jit(plan)(logits))
    np.testing.assert_allclose(found.sum(2), 1, rtol=1e-5)
    np.testing.assert_allclose(found.sum(1), 8, rtol=0.02)
    assert np.exp(np.asarray(jax.nn.log_softmax(logits))).sum(1)[:, 0].min() > 16


def test_draws_have_the_probabilities_of_the_policy_and_differ_by_layer() -> None:
    """4,096 draws: a share of p has a deviation of at most 0.008."""
    tokens = jax.random.randint(jax.random.key(1), (4, 1024), 0, 50)
    logits = jnp.log(jnp.array([0.5, 0.3, 0.2]))
    first, second = (
        np.argmax(logits + jax.jit(partial(gumbel, choices=3))(tokens, jnp.full((4, 1024), k)), -1)
        for k in (0.0, 1.0)
    )
    for drawn in (first, second):
        np.testing.assert_allclose(np.bincount(drawn.ravel()) / 4096, [0.5, 0.3, 0.2], atol=0.03)
    assert (first == second).mean() == pytest.approx(0.25 + 0.09 + 0.04, abs=0.04)


def test_reinforce_raises_the_policy_of_a_token_that_did_better_than_its_baseline() -> None:
    reward = jnp.array([[-1.0, -3.0]])
    log_policy, baseline = jnp.array([[[-0.5, -0.5]]]), jnp.array([[[-2.0, -2.0]]])
    losses = reinforce(reward, log_policy, baseline)
    assert {name: float(value) for name, value in losses.items()} == {
        "policy_loss": 0.0,
        "baseline_loss": 1.0,
    }
    policy, base = (
        jax.grad(lambda *a, name=name: reinforce(reward, *a)[name], argnums=(0, 1))(
            log_policy, baseline
        )
        for name in ("policy_loss", "baseline_loss")
    )
    np.testing.assert_allclose(policy[0], [[[-0.5, 0.5]]])
    np.testing.assert_allclose(policy[1], 0)
    np.testing.assert_allclose(base[1], [[[-1.0, 1.0]]])


def test_a_bias_has_the_excess_of_its_expert_as_its_gradient() -> None:
    """A negative step evens out the load; no other weight feels it."""

    def loss(bias: jax.Array) -> Any:
        weights = {"router": jnp.zeros((5, 4)), "router_bias": bias}
        seen = Seen(X, lambda x, name: x @ weights[name], weights, {}, 4, 1, T, training=True)
        return part.router("loss_free").route()(seen).found["bias_loss"]

    slope = jax.jit(jax.grad(loss))(jnp.array([0.0, 0.1, 0.0, 0.0]))
    np.testing.assert_allclose(slope, [-0.25, 0.75, -0.25, -0.25], rtol=1e-6)


def test_an_even_choice_has_no_entropy_loss() -> None:
    assert float(entropy_loss(jnp.zeros((2, 3, 4)))) == pytest.approx(0, abs=1e-6)
    one = jnp.zeros((2, 3, 4)).at[..., 0].set(50)
    assert float(entropy_loss(one)) == pytest.approx(np.log(4), rel=1e-5)


@pytest.mark.parametrize("router", ROUTERS)
def test_the_size_of_attention_is_no_side_of_a_router(router: str) -> None:
    """So that what grows with the width alone has the same rules wherever attention's base is."""
    own, shape = part.router(router), TransformerConfig(width=256, layers=6)
    lengths = {"d": shape.width, "r": 4, **own.letters(shape)}
    every = {**own.weights, **own.shared}
    for (name, (role, letters)), family in product(every.items(), get_args(Family)):
        sizes = tuple(lengths[letter] for letter in parse(letters).axes)
        weight = Weight(f"blocks/mlp/{name}", role, letters, sizes, stacked=6)
        grows, stays = (
            Parametrization("mup", base_width=64, base_attention=base).rule(weight, shape, family)
            for base in (0, shape.heads * shape.head_dim)
        )
        assert stays == grows
