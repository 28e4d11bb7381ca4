"""Derivatives against differences, and ends against each other."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.newton import newton
from analysis.solver import Problem, objective, scan, solve


def random_problem(terms: int, offset: int, delta: float) -> tuple[Problem, np.ndarray]:
    rng = np.random.default_rng(terms)
    z = rng.normal(0, 1.5, (terms, 40))
    z -= z.mean(axis=1, keepdims=True)
    loss = 1.5 * offset + sum(np.exp(0.1 * k - 0.3 * z[k]) for k in range(terms))
    problem = Problem(z, np.log(loss) + rng.normal(0, 0.01, 40), offset, delta)
    return problem, rng.uniform(0.5, 2.0, (3, 40))


@pytest.mark.parametrize(("terms", "offset"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 1)])
@pytest.mark.parametrize("delta", [1e-2, np.inf])
def test_gradient_and_hessian(terms: int, offset: int, delta: float):
    problem, weights = random_problem(terms, offset, delta)
    rng = np.random.default_rng(1)
    theta = np.concatenate(
        [np.full(offset, 0.6), rng.normal(0, 0.2, terms), rng.uniform(0.2, 0.5, terms)]
    )
    theta = np.repeat(theta[None], 3, axis=0)
    _, gradient, hessian = problem.derivatives(weights, theta, delta)
    step = 1e-6
    for at, unit in enumerate(np.eye(problem.size)):
        up, down = theta + step * unit, theta - step * unit
        slope = (
            objective(problem, weights, up, delta) - objective(problem, weights, down, delta)
        ) / (2 * step)
        assert gradient[:, at] == pytest.approx(slope, rel=1e-5, abs=1e-6)
        bend = (
            problem.derivatives(weights, up, delta)[1]
            - problem.derivatives(weights, down, delta)[1]
        ) / (2 * step)
        assert hessian[:, at] == pytest.approx(bend, rel=1e-4, abs=1e-4)


def test_solve_beats_newton_from_any_start():
    problem, weights = random_problem(2, 1, 1e-3)
    best = solve(problem, weights, 4)
    assert best.certified.all()
    rng = np.random.default_rng(0)
    starts = np.stack([rng.uniform([0, -2, -2, 0.05, 0.05], [0.9, 1, 1, 1, 1]) for _ in range(60)])
    for weighting, value in zip(weights, best.value, strict=True):
        ends = newton(problem, np.repeat(weighting[None], 60, axis=0), starts, 1e-3)
        assert value <= ends.value.min() * (1 + 1e-9)


def test_a_batch_is_its_members():
    problem, weights = random_problem(2, 1, 1e-3)
    together = solve(problem, weights, 2)
    for at in range(3):
        alone = solve(problem, weights[at : at + 1], 2)
        assert together.value[at] == pytest.approx(alone.value[0], rel=1e-9)


def test_scan_starts_have_positive_terms():
    problem, weights = random_problem(2, 1, 1e-3)
    starts = scan(problem, weights, 5)
    assert starts.shape == (3, 5, 5)
    assert (starts[..., 0] > 0).all() and np.isfinite(starts).all()
