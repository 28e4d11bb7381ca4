"""Derivatives against differences, and ends against each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from paths import DATA, needs_tables

from analysis.fitting.solvers.additive import Problem, objective, scan, solve, solve_small
from analysis.fitting.solvers.newton import CONTINUATION, best_of, newton

TIDY = DATA / "chinchilla_epoch" / "tidy.csv"


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


def test_small_systems_are_solved_together():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(7, 4, 4))
    gram, rhs = root @ root.transpose(0, 2, 1), rng.normal(size=(7, 4))
    expected = np.linalg.solve(gram, rhs[..., None])[..., 0]
    entries = {(j, m): gram[:, j, m] for j in range(4) for m in range(j + 1)}
    solution, explained = solve_small(entries, list(rhs.T), lambda pivot, whole: pivot)
    assert np.stack(solution, axis=1) == pytest.approx(expected, rel=1e-8)
    assert explained == pytest.approx((expected * rhs).sum(axis=1), rel=1e-8)


def test_scan_gives_no_more_starts_than_its_grid_has():
    problem, weights = random_problem(1, 1, 1e-3)
    assert scan(problem, weights, 100).shape == (3, 24, problem.size)


def test_a_direction_of_negative_curvature_is_descended():
    """f = x^4 / 4 - x^2 / 2 + y^2: Newton's own step from 0.1 climbs to the maximum at 0."""

    class Saddle:
        box = np.full(2, -np.inf), np.full(2, np.inf)

        def directions(self, weights, theta):
            return None

        def derivatives(self, weights, theta, delta):
            x, y = theta.T
            hessian = np.zeros((len(theta), 2, 2))
            hessian[:, 0, 0], hessian[:, 1, 1] = 3 * x**2 - 1, 2.0
            gradient = np.stack([x**3 - x, 2 * y], axis=1)
            return 1 + x**4 / 4 - x**2 / 2 + y**2, gradient, hessian

    ends = newton(Saddle(), np.ones((2, 1)), np.array([[0.1, 0.5], [-0.3, 2.0]]), 1.0)
    assert ends.certified.all()
    assert ends.theta == pytest.approx(np.array([[1.0, 0.0], [-1.0, 0.0]]), abs=1e-6)


def test_where_delta_is_narrow_continuation_is_tried():
    """The direct ways end in corners, of which there are many."""
    delta = 1e-5
    problem, _ = random_problem(2, 1, delta)
    weights = np.random.default_rng(5).multinomial(40, np.full(40, 1 / 40), size=50).astype(float)
    starts = scan(problem, weights, 2)
    direct = [newton(problem, weights, starts[:, at], delta).value for at in range(2)]
    led = starts[:, 0]
    for wider in CONTINUATION:
        if wider > delta:
            led = newton(problem, weights, led, wider).theta
    led_value = newton(problem, weights, led, delta).value
    assert (led_value < np.min(direct, axis=0) * (1 - 1e-6)).any()
    least = np.min([*direct, led_value], axis=0)
    assert (best_of(problem, weights, starts, delta).value <= least * (1 + 1e-9)).all()


@needs_tables("chinchilla_epoch/tidy.csv")
def test_published_resamples_end_at_the_best_of_many_starts():
    """300 resamples as the published bootstrap drew them, the one of several minima among them."""
    table = pd.read_csv(TIDY).nsmallest(240, "loss").sort_index()
    logs = np.log(table[["params_total", "tokens"]].to_numpy().T)
    problem = Problem(
        logs - logs.mean(axis=1, keepdims=True), np.log(table.loss.to_numpy()), 1, 1e-3
    )
    rng = np.random.RandomState(42)
    drawn = [np.bincount(rng.choice(240, 240), minlength=240) for _ in range(3179)]
    weights = np.array([*drawn[:299], drawn[3178]], np.float64)
    warm = solve(problem, np.ones((1, 240)), 8).theta[0]
    ends = solve(problem, weights, 1, warm)
    least = np.min(
        [newton(problem, weights, start, 1e-3).value
         for start in scan(problem, weights, 12).transpose(1, 0, 2)],
        axis=0,
    )  # fmt: skip
    assert ends.certified.all()
    assert (ends.value <= least * (1 + 1e-9)).all()
    alone = newton(problem, weights[-1:], warm[None], 1e-3).value[0]
    assert alone > least[-1] * (1 + 1e-4), "the best fit's own basin misses it"
