"""Each objective against an independent minimiser, with weights, clusters and held-out rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from analysis.fitting.fit import fit
from analysis.fitting.solvers.objective import KINDS
from analysis.fitting.types import FitStatus
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws import Law, amplitude, exponent, offset

TRUTH = {"E": 1.5, "A": 900.0, "alpha": 0.16}
CHINCHILLA = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
WIDTH = {"log": 2e-3, "raw": 5e-3}
ENGINES = ("log_huber", "raw_absolute")  # one of each engine, and the roughest


@pytest.fixture
def runs() -> pd.DataFrame:
    """30 budgets over five decades, noise of 0.4 % with one row in ten far off."""
    rng = np.random.default_rng(5)
    flops = np.geomspace(1e17, 1e22, 30)
    noise = rng.normal(0, 0.004, 30) + np.where(np.arange(30) % 10 == 4, 0.03, 0.0)
    loss = laws.power_law.predict(TRUTH, x=flops) * np.exp(noise)
    return pd.DataFrame({"flops_6nd": flops, "loss": loss})


def penalty(kind: str, width: float) -> Callable[[np.ndarray], np.ndarray]:
    """Written out once more, from the definitions."""
    return {
        "huber": lambda r: np.where(np.abs(r) <= width, r**2 / 2, width * np.abs(r) - width**2 / 2),
        "squared": lambda r: r**2 / 2,
        "absolute": np.abs,
    }[kind]


@pytest.mark.parametrize("name", KINDS)
def test_nothing_better_is_found_from_many_starts(runs: pd.DataFrame, name: str):
    """Nelder-Mead, restarted, on the objective as its definition says."""
    where, kind = name.split("_")
    x, y = runs["flops_6nd"].to_numpy(), runs["loss"].to_numpy()
    cost = penalty(kind, WIDTH[where])

    def value(theta: np.ndarray) -> float:
        model = theta[0] + np.exp(theta[1] - theta[2] * np.log(x / 1e19))
        if model.min() <= 0:
            return np.inf
        return 1e3 * float(cost(np.log(model / y) if where == "log" else model - y).sum())

    width = {"delta": WIDTH[where]} if kind == "huber" else {}
    result = fit(laws.power_law, runs, objective=name, **width)
    ends = []
    for start in (np.array([1.5, 0.0, 0.16]), np.array([1.0, 0.5, 0.3])):
        at = start
        for _ in range(4):
            at = optimize.minimize(
                value, at, method="Nelder-Mead",
                options={"maxiter": 3000, "maxfev": 6000, "xatol": 1e-12, "fatol": 1e-14},
            ).x  # fmt: skip
        ends.append(value(at) / 1e3)
    # an absolute objective is a Huber of width 1e-8: up to n delta / 2 below the true sum
    slack = 30 * 0.5e-8 if kind == "absolute" else 0.0
    assert result.objective <= min(ends) * (1 + 1e-9)
    assert result.objective >= min(ends) * (1 - 1e-5) - slack, "it should come close to the optimum"
    E, A, alpha = (result.params[each] for each in ("E", "A", "alpha"))
    ours = value(np.array([E, np.log(A) - alpha * np.log(1e19), alpha])) / 1e3
    assert result.objective == pytest.approx(ours, rel=1e-6, abs=slack)


def test_a_flat_piece_is_a_minimum():
    """f is flat at its least where every row lies outside delta, half above the curve and half
    below. Gradient and Hessian are rounding, and the fit is certified all the same."""
    flops = np.geomspace(1e17, 1e22, 26)
    noise = np.random.default_rng(5).normal(0, 0.01, 26)
    runs = pd.DataFrame({"flops_6nd": flops, "loss": (1.5 + 900 * flops**-0.16) * np.exp(noise)})
    result = fit(laws.power_law_no_offset, runs[flops <= 1e20])
    outside = np.abs(result.residuals).min() > 1e-3 * (1 - 1e-9)  # or at its edge
    assert outside, "the example no longer has all rows outside"
    assert result.status is FitStatus.CONVERGED


@pytest.mark.parametrize("seed", range(4))
def test_raw_absolute_errors_of_a_surface_are_certified(grid: pd.DataFrame, seed: int):
    noise = np.random.default_rng(seed).normal(0, 0.006, 36)
    smooth = laws.chinchilla.predict(CHINCHILLA, params=grid.params_total, tokens=grid.tokens)
    result = fit(
        laws.chinchilla, grid.assign(loss=smooth * np.exp(noise)), objective="raw_absolute"
    )
    assert result.status is FitStatus.CONVERGED


def least_absolute(design: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """min sum |y - X b| as a linear program: y - X b = u - v, u and v not negative."""
    rows, columns = design.shape
    found = optimize.linprog(
        np.concatenate([np.zeros(columns), np.ones(2 * rows)]),
        A_eq=np.hstack([design, np.eye(rows), -np.eye(rows)]),
        b_eq=y,
        bounds=[(None, None)] * columns + [(0, None)] * (2 * rows),
    )
    assert found.success
    return found.x[:columns], float(found.fun)


def test_log_absolute_is_a_linear_program(runs: pd.DataFrame):
    """ln L = ln A - alpha ln x is linear."""
    log_x = np.log(runs["flops_6nd"].to_numpy() / 1e19)
    b, total = least_absolute(
        np.stack([np.ones(30), -log_x], axis=1), np.log(runs["loss"].to_numpy())
    )
    result = fit(laws.power_law_no_offset, runs, objective="log_absolute")
    assert result.params["alpha"] == pytest.approx(b[1], rel=1e-6)
    assert np.log(result.params["A"]) == pytest.approx(b[0] + b[1] * np.log(1e19), rel=1e-6)
    assert result.objective == pytest.approx(total, rel=1e-6)


def test_raw_absolute_and_squared_where_the_exponent_is_given(runs: pd.DataFrame):
    """L = E + A x^-alpha is linear in E and A."""
    law, y = laws.power_law.given(alpha=0.16), runs["loss"].to_numpy()
    design = np.stack([np.ones(30), (runs["flops_6nd"].to_numpy() / 1e19) ** -0.16], axis=1)
    unit = 1e19**0.16
    b, total = least_absolute(design, y)
    result = fit(law, runs, objective="raw_absolute")
    assert result.objective == pytest.approx(total, rel=1e-6)
    assert [result.params["E"], result.params["A"] / unit] == pytest.approx(b, rel=1e-6)
    b, squares, *_ = np.linalg.lstsq(design, y)
    result = fit(law, runs, objective="raw_squared")
    assert result.objective == pytest.approx(squares[0] / 2, rel=1e-9)
    assert [result.params["E"], result.params["A"] / unit] == pytest.approx(b, rel=1e-8)


@pytest.fixture
def grid() -> pd.DataFrame:
    """36 runs of known truth, noise of 0.6 %."""
    params = np.repeat(np.geomspace(5e7, 1e10, 6), 6)
    tokens = np.tile(np.geomspace(1e9, 3e11, 6), 6)
    loss = laws.chinchilla.predict(CHINCHILLA, params=params, tokens=tokens)
    loss = loss * np.exp(np.random.default_rng(7).normal(0, 0.006, 36))
    return pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss})


@pytest.mark.parametrize("name", ["log_squared", "raw_squared"])
def test_least_squares_of_a_surface_is_that_of_scipy(grid: pd.DataFrame, name: str):
    """The exact engine for log residuals, derivatives for raw ones; SciPy's trust region beside."""
    n, d, y = (grid[each].to_numpy() for each in ("params_total", "tokens", "loss"))

    def residual(theta: np.ndarray) -> np.ndarray:
        e, a, b, alpha, beta = theta
        model = e + np.exp(a - alpha * np.log(n / 1e9)) + np.exp(b - beta * np.log(d / 1e10))
        return np.log(model / y) if name == "log_squared" else model - y

    start = [1.5, -0.5, -0.5, 0.3, 0.3]
    found = optimize.least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    result = fit(laws.chinchilla, grid, objective=name)
    assert result.objective == pytest.approx(found.cost, rel=1e-10)
    assert result.params["alpha"] == pytest.approx(found.x[3], rel=1e-5)
    assert result.params["beta"] == pytest.approx(found.x[4], rel=1e-5)


@pytest.mark.parametrize("name", ["log_huber", "raw_huber"])
def test_a_width_from_the_residuals(runs: pd.DataFrame, name: str):
    """1.345 x 1.4826 median |r - median r| of the fit at 1e-3."""
    first = fit(laws.power_law, runs, objective=name, delta=1e-3)
    fitted = first.law.predict(first.params, **first.points.variables)
    r = first.residuals if name == "log_huber" else runs["loss"] - fitted
    result = fit(laws.power_law, runs, objective=name, delta="mad")
    width = 1.345 * 1.4826 * np.median(np.abs(r - np.median(r)))
    assert result.recipe.objective.delta == pytest.approx(width, rel=1e-6)
    given = fit(laws.power_law, runs, objective=name, delta=width)
    assert result.params == pytest.approx(given.params, rel=1e-6)


def test_a_width_that_cannot_be_had(runs: pd.DataFrame):
    exact = runs.assign(loss=laws.power_law.predict(TRUTH, x=runs["flops_6nd"]))
    with pytest.raises(UserError, match="no residuals to take a width from"):
        fit(laws.power_law, exact, delta="mad")
    with pytest.raises(UserError, match="positive number or 'mad'"):
        fit(laws.power_law, runs, delta="MAD")


def plain_power_law() -> Law:
    """The same law as `laws.power_law`, without the terms that the exact engine reads."""
    return Law(
        "plain",
        form="L = E + A / x^alpha",
        variables=("x",),
        space=(offset("E"), amplitude("A"), exponent("alpha")),
        formula=lambda xp, p, x: p["E"] + p["A"] * x["x"] ** -p["alpha"],
    )


@pytest.mark.parametrize("law", [laws.power_law, plain_power_law()], ids=["exact", "derivatives"])
def test_float32_columns_are_fitted_in_float64(runs: pd.DataFrame, law: Law):
    narrow = runs.astype(np.float32)
    assert fit(law, narrow).params == fit(law, narrow.astype(np.float64)).params


@pytest.mark.parametrize(
    "formula",
    [
        lambda xp, p, x: (p["E"] + p["A"] * x["x"] ** -p["alpha"]).astype("float32"),
        lambda xp, p, x: p["E"] + p["A"] * x["x"].astype("float32") ** -p["alpha"],
        lambda xp, p, x: p["E"] + p["A"] * xp.exp((-p["alpha"] * xp.log(x["x"])).astype("float32")),
    ],
    ids=["result", "variable", "inside"],
)
def test_a_formula_that_casts_to_float32_is_refused(runs: pd.DataFrame, formula):
    law = Law("narrow", form="", variables=("x",), space=plain_power_law().space, formula=formula)
    with pytest.raises(UserError, match=r"law 'narrow' computes in float32.*without casts"):
        fit(law, runs)


@pytest.mark.parametrize("name", ENGINES)
def test_weights_are_repeated_rows(runs: pd.DataFrame, name: str):
    weights = np.arange(30) % 3 + 1
    repeated = runs.loc[runs.index.repeat(weights)].reset_index(drop=True)
    by_weight = fit(laws.power_law, runs, objective=name, weights=weights.astype(float))
    by_rows = fit(laws.power_law, repeated, objective=name)
    assert by_weight.objective == pytest.approx(by_rows.objective, rel=1e-9)
    assert by_weight.params == pytest.approx(by_rows.params, rel=1e-6)


@pytest.mark.parametrize("name", ENGINES)
def test_held_out_rows_take_no_part_in_the_fit(runs: pd.DataFrame, name: str):
    """Held-out rows change not one bit of the fit."""
    held = runs["flops_6nd"] > 1e21
    shifted = runs.assign(loss=runs["loss"].where(~held, 7.0))
    without = fit(laws.power_law, runs[~held], objective=name, bootstrap=10)
    for table in (runs, shifted):
        result = fit(laws.power_law, table, objective=name, bootstrap=10, holdout="flops_6nd>1e21")
        assert result.params == without.params
        assert np.array_equal(result.samples, without.samples)
        assert not held[list(result.points.rows.index)].any()


def test_checkpoints_of_a_run_are_resampled_together(grid: pd.DataFrame):
    """Four rows per run that share its error: as independent rows they look twice as sure."""
    rng = np.random.default_rng(11)
    rows = grid.loc[grid.index.repeat(4)].reset_index(names="run")
    rows["loss"] *= np.exp(rng.normal(0, 1e-4, len(rows)))

    def width(cluster: str | None) -> float:
        result = fit(laws.chinchilla, rows, bootstrap=300, cluster=cluster)
        low, high = result.interval("alpha")
        return high - low

    assert 1.5 < width("run") / width(None) < 2.7


def test_a_cluster_of_one_row_each_changes_nothing(grid: pd.DataFrame):
    named = grid.assign(run=[f"run{at:02d}" for at in range(len(grid))])
    alone, together = (
        fit(laws.chinchilla, named, bootstrap=50, cluster=each) for each in (None, "run")
    )
    assert np.array_equal(alone.samples, together.samples)
