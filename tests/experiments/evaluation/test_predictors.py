"""Scores at the start, against a loop over samples written out."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest
import tiny

from experiments.evaluation.predictors import predictors
from experiments.training.hypers import hypers
from experiments.training.objective import loss
from experiments.training.step import init_state, recipe

WINDOWS = np.random.default_rng(0).integers(0, 256, (5, 17), dtype=np.int32)


def test_scores_are_those_of_a_loop_over_samples():
    """In any order of the samples; five copies of one agree in every sign."""
    config = tiny.config("model.layers=2")
    made = recipe(config)
    params = init_state(made, hypers(config.science)).params
    score = jax.jit(partial(predictors, made.spec))
    gradient = jax.jit(jax.value_and_grad(partial(loss, made.spec)))
    losses, trees = zip(*(gradient(params, window[None]) for window in WINDOWS), strict=True)
    rows = np.array([np.concatenate([g.ravel() for g in jax.tree.leaves(t)]) for t in trees])
    found = score(params, WINDOWS)
    signs = np.abs(np.sign(rows).sum(0)).sum()
    assert found.gradsign == pytest.approx(signs, rel=2e-3)  # signs of numbers about zero
    assert 0.2 < signs / rows.size < 0.9
    assert found.gradient_norm == pytest.approx(np.linalg.norm(rows.mean(0)), rel=1e-4)
    assert found.initial_loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert score(params, WINDOWS[::-1]).gradsign == found.gradsign
    twice = score(params, np.repeat(WINDOWS[:1], 5, axis=0)).gradsign
    assert twice == pytest.approx(5 * np.count_nonzero(rows[0]), rel=2e-3)
