"""Hyperparameters are arrays: one program for a grid, and vmap trains a population of runs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from curves import CHUNK, SCIENCE, STEPS, batches, program, run, train

from experiments.config.run import RunConfig
from experiments.training.hypers import Hypers
from experiments.training.step import TrainState, init_state, recipe, train_chunk

RATES, SEEDS, LENGTHS = (1e-3, 2e-3, 4e-3, 8e-3), (3, 4), (STEPS, 21, 20, 13)
PROGRAM = program(microbatch=2, backward="barrier", attention="barrier")  # as on a CPU
MEMBERS = [
    {"learning_rate": rate, "seed": seed, "steps": steps}
    for (rate, steps), seed in product(zip(RATES, LENGTHS, strict=True), SEEDS)
]


@cache
def _programs() -> tuple[Any, Any]:
    starting, stepping = (jax.vmap(partial(f, PROGRAM)) for f in (init_state, train_chunk))
    return jax.jit(starting), jax.jit(stepping)


def _train(members: list[Hypers]) -> tuple[TrainState, np.ndarray]:
    """The states and the losses [member, step] of a population, each on the data of its seed."""
    leaves = jax.tree.map(lambda *x: jnp.stack(x), *members)
    data = np.stack([batches(int(member.seed)) for member in members])
    starting, stepping = _programs()
    state, losses = starting(leaves), []
    for start in range(0, STEPS, CHUNK):
        state, metrics = stepping(state, leaves, data[:, start : start + CHUNK])
        losses.append(metrics["loss"])
    return state, np.concatenate(jax.device_get(losses), axis=1)


@cache
def _population() -> tuple[TrainState, np.ndarray]:
    return _train([run(**member) for member in MEMBERS])


def test_every_member_has_the_curve_of_its_solo_run() -> None:
    _, together = _population()
    for member, losses in zip(MEMBERS, together, strict=True):
        _, alone = train(PROGRAM, run(**member), batches(member["seed"]))
        np.testing.assert_allclose(losses, alone, rtol=1e-5, err_msg=str(member))
    assert len(set(together[:, 10])) == len(MEMBERS)


def test_a_hundred_steps_are_those_of_the_solo_run() -> None:
    members = [run(rate, steps=100) for rate in RATES]
    data = np.concatenate([batches()] * 5)[: 13 * CHUNK]  # beyond the end
    leaves = jax.tree.map(lambda *x: jnp.stack(x), *members)
    starting, stepping = _programs()
    state, found = starting(leaves), []
    for start in range(0, len(data), CHUNK):
        part = np.stack([data[start : start + CHUNK]] * len(members))
        state, metrics = stepping(state, leaves, part)
        found.append(metrics["loss"])
    together = np.concatenate(jax.device_get(found), axis=1)
    for losses, member in zip(together, members, strict=True):
        _, alone = train(PROGRAM, member, data)
        np.testing.assert_allclose(losses, alone, rtol=1e-5)


def test_a_shorter_member_stands_still_after_its_end() -> None:
    states, losses = _population()
    for i, member in enumerate(MEMBERS):
        assert int(states.step[i]) == member["steps"]
        assert (losses[i, member["steps"] :] == 0).all()
        # its parameters are those of a solo run that ended there
        alone, _ = train(PROGRAM, run(**member), batches(member["seed"]))
        for a, b in zip(jax.tree.leaves(states.params), jax.tree.leaves(alone.params), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-3, atol=1e-5)


def test_a_diverged_member_leaves_the_others_as_they_were() -> None:
    sick = 2
    members = [run(**member) for member in MEMBERS]
    members[sick] = run(**{**MEMBERS[sick], "learning_rate": 1e20})
    states, losses = _train(members)
    assert not np.isfinite(losses[sick]).all()
    for leaf, healthy in zip(
        jax.tree.leaves((losses, states)), jax.tree.leaves(_population()[::-1]), strict=True
    ):
        np.testing.assert_array_equal(np.delete(leaf, sick, 0), np.delete(healthy, sick, 0))


def test_a_grid_of_sixteen_runs_is_one_executable() -> None:
    """Learning rate, length and seed are data; the recipe, and so the program, is the same."""
    grid = [
        run(learning_rate=rate, steps=steps, seed=seed)
        for rate, steps, seed in product((1e-3, 2e-3, 4e-3, 8e-3), (STEPS, 13), SEEDS)
    ]
    assert len(grid) == 16
    starting, stepping = (jax.jit(partial(f, PROGRAM)) for f in (init_state, train_chunk))
    for leaves in grid:
        stepping(starting(leaves), leaves, batches()[:CHUNK])
    assert (starting._cache_size(), stepping._cache_size()) == (1, 1)


def test_runs_of_one_shape_share_a_recipe_and_others_do_not() -> None:
    made = recipe(RunConfig(SCIENCE))
    rate = replace(SCIENCE.optimizer, learning_rate=1.0, weight_decay=0.0, beta2=0.5, epsilon=1e-4)
    same = replace(SCIENCE, optimizer=rate, budget=replace(SCIENCE.budget, tokens=9), seed=9)
    wider = replace(SCIENCE, model=replace(SCIENCE.model, width=32))
    assert recipe(RunConfig(same)) == made
    assert hash(recipe(RunConfig(same))) == hash(made)
    assert recipe(RunConfig(wider)) != made
