from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from experiments.config.optimizer import FOLDER
from experiments.config.overrides import override
from experiments.plan.run import Run
from experiments.training.hypers import hypers
from experiments.training.step import recipe
from experiments.training.step import update as step_update
from experiments.training.update import UpdateInputs, evaluated, rules, update
from models.config import TransformerConfig
from models.layout import stored
from models.transformer import leaves
from scaling.common import plugins
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.tables import Rule
from scaling.parametrization.weight import Weight

SP = Parametrization("sp")
WEIGHTS = {
    "hidden": Weight("hidden", "hidden", "d->f", (3, 5)),
    "embedding": Weight("embedding", "embedding", "v->d", (4, 3)),
    "gain": Weight("gain", "gain", "->d", (3,)),
    "bias": Weight("bias", "bias", "->f", (5,)),
}
UNCLIPPED = "optimizer.clip_norm=1e9"


def table(**changes: float) -> dict[str, Rule]:
    """The SP rules, with these factors on the hidden matrix."""
    base = rules(WEIGHTS, lambda weight: SP.rule(weight, TransformerConfig(width=4)))
    return {**base, "hidden": replace(base["hidden"], **changes)}


def draws(count: int = 10) -> list[dict[str, jax.Array]]:
    key = jax.random.key(0)
    return [
        {
            name: jax.random.normal(jax.random.fold_in(key, 7 * i + j), w.shape)
            for j, (name, w) in enumerate(WEIGHTS.items())
        }
        for i in range(count)
    ]


def train(leaves, ruleset, decay, fractions, grads):
    """Parameters, all ones at first, after one step of AdamW per gradient."""

    def at(s):
        inputs = UpdateInputs(leaves, WEIGHTS, ruleset, decay, jnp.float32(s))
        return update("adamw", "last", inputs)

    params = jax.tree.map(jnp.ones_like, grads[0])
    state = at(0).init(params)
    for g, s in zip(grads, fractions, strict=True):
        updates, state = at(s).update(g, state, params)
        params = optax.apply_updates(params, updates)
    return params


def by_hand(grads, fractions, *, eta, lam, eps, b1=0.9, b2=0.95, coupled=True, start=1.0):
    """AdamW of one tensor in float64, from the paper's algorithm 2."""
    theta, m, v = np.full(grads[0].shape, start), 0.0, 0.0
    for t, (g, s) in enumerate(zip(grads, fractions, strict=True), 1):
        g = np.asarray(g, np.float64)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        u = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        theta = theta - s * eta * u - s * lam * theta * (eta if coupled else 1.0)
    return theta


def test_coupled_adamw_is_optax_adamw_on_what_decays():
    leaves = hypers(tiny.config(UNCLIPPED, "optimizer.weight_decay=0.1").science)
    peer = optax.adamw(
        3e-3,
        b1=0.9,
        b2=0.95,
        eps=1e-8,
        weight_decay=0.1,
        mask={name: name in ("hidden", "embedding") for name in WEIGHTS},
    )
    params = jax.tree.map(jnp.ones_like, draws()[0])
    state = peer.init(params)
    for g in draws():
        updates, state = peer.update(g, state, params)
        params = optax.apply_updates(params, updates)
    ours = train(leaves, table(), "coupled", [1.0] * 10, draws())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, params)


@pytest.mark.parametrize("decay", ["coupled", "independent"])
def test_both_decays_follow_the_formula_under_a_schedule(decay):
    leaves = hypers(tiny.config(UNCLIPPED, "optimizer.weight_decay=0.02").science)
    fractions = np.linspace(1, 0.1, 10)
    ours = train(leaves, table(), decay, fractions, draws())
    hand = {"eta": 3e-3, "eps": 1e-8, "coupled": decay == "coupled"}
    for name in WEIGHTS:
        lam = 0.02 if name in ("hidden", "embedding") else 0.0  # gains and biases do not decay
        expected = by_hand([g[name] for g in draws()], fractions, lam=lam, **hand)
        np.testing.assert_allclose(ours[name], expected, rtol=2e-6)


def test_independent_decay_does_not_see_the_learning_rate():
    shrunk = [
        train(
            hypers(tiny.config(UNCLIPPED, f"optimizer.learning_rate={rate}").science),
            table(),
            "independent",
            [1.0] * 10,
            [jax.tree.map(jnp.zeros_like, draws()[0])] * 10,
        )["hidden"]
        for rate in (1e-4, 1e-1)
    ]
    np.testing.assert_array_equal(*shrunk)
    np.testing.assert_allclose(shrunk[0], 0.9**10, rtol=1e-6)


def test_rules_scale_learning_rate_decay_and_epsilon_of_their_tensor_alone():
    """An epsilon of the gradients' size, so that its factor is seen; exact, not approximate."""
    assignments = (UNCLIPPED, "optimizer.epsilon=0.5", "optimizer.weight_decay=0.1")
    leaves = hypers(tiny.config(*assignments).science)
    changed = table(learning_rate=0.25, weight_decay=4.0, epsilon=0.125)
    ours = train(leaves, changed, "coupled", [1.0] * 10, draws())
    plain = train(leaves, table(), "coupled", [1.0] * 10, draws())
    expected = by_hand(
        [g["hidden"] for g in draws()], [1.0] * 10, eta=3e-3 / 4, lam=0.4, eps=0.0625
    )
    np.testing.assert_allclose(ours["hidden"], expected, rtol=1e-6)
    assert not np.allclose(ours["hidden"], plain["hidden"], rtol=1e-4)
    for name in ("embedding", "gain", "bias"):
        np.testing.assert_array_equal(ours[name], plain[name])


def test_the_whole_gradient_is_clipped_to_the_norm():
    leaves = hypers(tiny.config("optimizer.clip_norm=0.5", "optimizer.epsilon=0.1").science)
    loose = hypers(tiny.config(UNCLIPPED, "optimizer.epsilon=0.1").science)
    norm = float(optax.tree.norm(draws()[0]))
    halved = [jax.tree.map(lambda g: g * 0.5 / norm, draws()[0])]
    clipped = train(leaves, table(), "coupled", [1.0], draws(1))
    expected = train(loose, table(), "coupled", [1.0], halved)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), clipped, expected)
    assert norm > 1


@pytest.mark.parametrize("name", plugins.names(FOLDER))
def test_zeros_of_the_layers_matrices_are_kept_by_every_optimizer(name):
    weights = {**WEIGHTS, "hidden": replace(WEIGHTS["hidden"], layer=0)}
    ruleset = rules(weights, lambda weight: SP.rule(weight, TransformerConfig(width=4)))
    leaves = hypers(tiny.config(f"optimizer.name={name}", "schedule.name=constant").science)
    inputs = UpdateInputs(leaves, weights, ruleset, "coupled", jnp.float32(1), "kept")
    made, grads = update(name, "last", inputs), draws(3)
    pruned = np.arange(15).reshape(3, 5) % 3 == 0
    params = jax.tree.map(jnp.zeros_like, grads[0])
    params["hidden"] = jnp.where(pruned, 0.0, 1.0)
    state = made.init(params)
    for g in grads:
        updates, state = made.update(g, state, params)
        params = optax.apply_updates(params, updates)
    for found in (params, evaluated(state, params)):
        hidden = np.asarray(found["hidden"])
        assert (hidden[pruned] == 0).all() and (hidden[~pruned] != 1).all()
        assert (np.asarray(found["embedding"]) != 0).any(), "others leave 0"


def test_few_numbers_are_trained_and_the_others_stay():
    """Values of a support as many as asked for, and deltas of the rank asked for."""
    config = tiny.config("model.layers=2", "execution.program.layers=scan")

    def trained(*tuning: str) -> tuple[Any, Any]:
        own = override(config, [*tuning, "optimizer.weight_decay=0.1"])
        made, given = recipe(own), hypers(own.science)
        start = jax.tree.map(lambda w: np.ones(stored(w)[1], np.float32), made.weights)
        rng = np.random.default_rng(0)
        draws = [
            jax.tree.map(lambda x: rng.normal(size=x.shape).astype("f"), start) for _ in range(2)
        ]

        @jax.jit
        def run(params: Any, draws: Any) -> Any:
            change = step_update(made, given, jnp.float32(1))
            state = change.init(params)
            for grads in draws:
                updates, state = change.update(grads, state, params)
                params = optax.apply_updates(params, updates)
            return params

        count = own.science.tuning.trained(leaves(own.science.model, 16))
        return jax.tree.map(lambda a, b: np.asarray(a - b), run(start, draws), start), count

    some, count = trained("tuning.method=support", "tuning.values=37", "tuning.among=mixer")
    assert count == 37 == sum(int((leaf != 0).sum()) for leaf in jax.tree.leaves(some))
    assert not some["blocks"]["mlp"]["in"].any()
    low, count = trained("tuning.method=low_rank", "tuning.rank=2", "tuning.among=feed_forward")
    moved = {name: leaf for name, leaf in low["blocks"]["mlp"].items() if np.any(leaf)}
    assert set(moved) == {"in", "out"} and not np.any(low["embedding"])
    for leaf in moved.values():
        assert [np.linalg.matrix_rank(each, tol=1e-4) for each in leaf] == [2, 2]
    assert count == sum(2 * 2 * sum(leaf.shape[1:]) for leaf in moved.values())


@pytest.mark.parametrize(
    "fields",
    [
        ("model.pattern=switch_head", "model.capacity_factor=2.0"),
        pytest.param(("model.experts=4", "model.router=rl_r"), marks=pytest.mark.slow),
        pytest.param(("model.weights=low_rank_sparse",), marks=pytest.mark.slow),
        (
            "model.experts=4",
            "model.router=recurrent",
            "model.pattern=attention+zero_computation:constant=1",
        ),
    ],
)
def test_a_run_of_few_trained_numbers_counts_those_that_move(fields: tuple[str, ...]) -> None:
    """Matrices of mixers and feed-forwards; not routers, constants and what starts at 0."""
    every = ("tuning.method=support", f"tuning.values={2**30}")
    config = tiny.config("model.layers=2", *fields, *every)
    made, given = recipe(config), hypers(config.science)
    params = jax.tree.map(lambda w: np.ones(stored(w)[1], np.float32), made.weights)

    @jax.jit
    def moves(params: Any) -> Any:
        change = step_update(made, given, jnp.float32(1))
        return change.update(params, change.init(params), params)[0]

    moved = sum(int((np.asarray(leaf) != 0).sum()) for leaf in jax.tree.leaves(moves(params)))
    assert Run(config, 0).params_trained == moved > 0
