"""A law that a user writes in five lines is fitted and refused like those of the package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.solvers.formula import Formula, search
from analysis.fitting.types import FitStatus
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws import Law, amplitude, exponent, learning_curves, offset, positive, real

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}

mine = Law(
    "mine", form="L = E + A / N^alpha + B / D^beta", variables=("params", "tokens"),
    space=(offset("E"), amplitude("A"), amplitude("B"), exponent("alpha"), exponent("beta")),
    formula=lambda xp, p, x: p["E"] + p["A"] * x["params"] ** -p["alpha"]
    + p["B"] * x["tokens"] ** -p["beta"],
)  # fmt: skip


@pytest.fixture
def runs() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    params = np.repeat(np.geomspace(5e7, 1e10, 6), 5)
    tokens = np.tile(np.geomspace(1e9, 3e11, 5), 6)
    loss = laws.chinchilla.predict(TRUTH, params=params, tokens=tokens)
    loss = loss * np.exp(rng.normal(0, 0.006, 30))
    return pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss})


def test_the_same_optimum_as_the_registered_form(runs: pd.DataFrame):
    """Two solvers that share no derivatives: the exact one and automatic differentiation."""
    ours, theirs = (fit(law, runs, bootstrap=20) for law in (laws.chinchilla, mine))
    assert theirs.status is FitStatus.CONVERGED and theirs.warnings == ours.warnings
    assert theirs.objective == pytest.approx(ours.objective, rel=1e-9)
    assert theirs.params == pytest.approx(ours.params, rel=1e-6)
    assert theirs.samples == pytest.approx(ours.samples, rel=1e-3)
    best = theirs.optimal(1e22).params[0]  # by search, where the registered law has a closed form
    assert best == pytest.approx(ours.optimal(1e22).params[0], rel=1e-5)


def test_a_parameter_held_and_two_tied(runs: pd.DataFrame):
    held = fit(mine.given(E=1.8), runs)
    assert held.params["E"] == 1.8 and held.law.relations == ("E = 1.8",)
    assert held.objective == pytest.approx(
        fit(laws.chinchilla.given(E=1.8), runs).objective, rel=1e-9
    )
    tied = fit(mine.tied(beta="alpha"), runs)
    assert tied.params["beta"] == tied.params["alpha"]
    assert tied.objective >= fit(laws.chinchilla, runs).objective
    with pytest.raises(UserError, match="no parameter 'gamma'"):
        mine.given(gamma=1.0)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (
            lambda xp, p, x: p["E"] + p["C"] * x["x"] ** -p["alpha"],
            "law 'short': .*'C'; parameters: E, A, alpha",
        ),
        (
            lambda xp, p, x: p["E"] + p["A"] * x["size"] ** -p["alpha"],
            "law 'short': .*'size'.*variables: x",
        ),
        (lambda xp, p, x: xp.expp(p["E"]), "law 'short': .*AttributeError.*expp"),
        (lambda xp, p, x: p["E"], "law 'short': .*one value per row"),
        (lambda xp, p, x: float(p["E"]) + x["x"], "law 'short': .*ConcretizationTypeError"),
    ],
    ids=["parameter", "variable", "namespace", "shape", "float"],
)
def test_a_mistake_in_a_formula_is_one_line(runs: pd.DataFrame, formula, message: str):
    space = (offset("E"), amplitude("A"), exponent("alpha"))
    law = Law("short", form="", variables=("x",), space=space, formula=formula)
    with pytest.raises(UserError, match=message) as error:
        fit(law, runs, x="params_total")
    assert "\n" not in str(error.value)


def test_a_formula_without_a_value_is_one_line(runs: pd.DataFrame):
    space = (offset("E"), amplitude("A"), exponent("alpha"))
    law = Law(
        "nowhere", form="", variables=("params",), space=space,
        formula=lambda xp, p, x: p["E"] + p["A"] * p["alpha"] * xp.log(-x["params"]),
    )  # fmt: skip
    with pytest.raises(UserError, match="law 'nowhere': its formula is not a finite"):
        fit(law, runs)


def test_parameters_that_can_be_exchanged(runs: pd.DataFrame):
    """A and K stand only as a product."""
    law = Law(
        "product", form="L = A K / N^alpha", variables=("params",),
        space=(positive("A", 1.0, 10.0), positive("K", 1.0, 10.0), exponent("alpha")),
        formula=lambda xp, p, x: p["A"] * p["K"] * x["params"] ** -p["alpha"],
    )  # fmt: skip
    result = fit(law, runs, bootstrap=10)
    assert result.status is FitStatus.NOT_IDENTIFIED
    assert np.isnan(result.params["A"]) and np.isnan(result.params["K"])
    assert np.isfinite(result.params["alpha"])
    assert any("A, K can be exchanged" in text for text in result.warnings)
    assert np.isnan(result.interval("A")).all()


def test_a_parameter_that_no_row_feels(runs: pd.DataFrame):
    law = Law(
        "idle", form="L = A / N^alpha", variables=("params",),
        space=(positive("A", 10.0), exponent("alpha"), real("idle", 1.0)),
        formula=lambda xp, p, x: p["A"] * x["params"] ** -p["alpha"] + 0 * p["idle"],
    )  # fmt: skip
    result = fit(law, runs)
    assert result.unidentified == ("idle",)
    assert any("no row depends on idle" in text for text in result.warnings)


def test_a_parameter_at_its_bound(runs: pd.DataFrame):
    """The true exponent is 0.35; this law allows 0.2 at most."""
    low = Law(
        "low", form=mine.form, variables=mine.variables,
        space=(*mine.space[:3], positive("alpha", 0.1, low=0.01, high=0.2), exponent("beta")),
        formula=mine.formula,
    )  # fmt: skip
    result = fit(low, runs, bootstrap=10)
    assert result.status is FitStatus.MISFIT and result.bounded == ("alpha",)
    assert result.params["alpha"] == pytest.approx(0.2)
    assert np.isnan(result.interval("alpha")).all()
    assert any("alpha is at its upper bound, 0.2" in text for text in result.warnings)


def curve(size: int, noise: float, seed: int, form: Callable[[np.ndarray], np.ndarray]) -> Any:
    x = np.geomspace(1e3, 1e8, size)
    loss = form(x) * np.exp(np.random.default_rng(seed).normal(0, noise, size))
    return pd.DataFrame({"x": x, "loss": loss})


@pytest.mark.parametrize("size", [12, 20, 40])
def test_a_law_of_too_many_constants_walks_its_valley_to_the_end(size: int, monkeypatch):
    """Far below eps_0 a power law fixes one number of alpha, beta and eps_0: in beta alone the
    search slid along a curve, and ended after a thousand calls of the law without a certificate."""
    calls: list[int] = []
    rates = Formula.rates
    monkeypatch.setattr(
        Formula, "rates", lambda self, theta: calls.append(len(theta)) or rates(self, theta)
    )
    table = curve(size, 0.005, 0, lambda x: 0.3 + 5 * x**-0.2)
    result = fit(learning_curves.sigmoidal_power_law, table, x="x")
    assert result.status in (FitStatus.CONVERGED, FitStatus.AT_BOUND)
    assert len(calls) < 2500
    flat = fit(laws.power_law, table, x="x")  # its limit at alpha -> 0, but for the floor of alpha
    assert result.objective <= flat.objective * 1.01


def test_a_minimum_in_a_corner_of_the_law_is_one():
    """One power law under a law of two: the break lies at a row, where the loss has no slope."""
    table = curve(12, 0.005, 0, lambda x: 4 * x**-0.12)
    result = fit(learning_curves.two_power_laws(), table, x="x")
    assert result.status is FitStatus.CONVERGED
    for name in ("h", "alpha", "beta", "A"):
        for moved in (1 - 1e-4, 1 + 1e-4):
            near = result.law.predict(
                {**result.params, name: result.params[name] * moved}, x=table["x"]
            )
            off = np.abs(np.log(near / table["loss"]))
            value = np.where(off < 1e-3, off**2 / 2, 1e-3 * (off - 5e-4)).sum()
            assert value >= result.objective * (1 - 1e-9)


def test_units_of_parameters_are_of_the_others_in_numpy_and_in_jax():
    law = learning_curves.sigmoidal_power_law.given(eps_inf=0.1).tied(alpha="c")
    table = curve(12, 0.0, 0, lambda x: 0.1 + 3 * x**-0.3)
    problem = Formula(law, {"x": table["x"].to_numpy()}, table["loss"].to_numpy(), True)
    values = np.array([[3.0, 40.0, 0.4], [2.0, 7.0, 0.3]])  # eps_0, beta, c
    theta = problem.to_theta(values)
    assert problem.to_values(theta) == pytest.approx(values, rel=1e-12)
    assert np.abs(theta[:, 1] - np.log(values[:, 1])).min() > 0.1
    for row, line in zip(problem.rates(theta)[0], values, strict=True):
        params = dict(zip(law.parameters, line, strict=True))
        assert row == pytest.approx(law.predict(params, x=table["x"]), rel=1e-12)


@pytest.mark.parametrize("seed", [3, 7])
def test_a_narrow_valley_that_bends_is_followed_to_its_end(seed: int):
    """Sizes over a factor of 1.8: along the ridge of E, A and alpha, Newton stops short of the
    minimum; the registered form's own solver gives the truth."""
    own = Law(
        "own", form="L = E + A / x^alpha", variables=("x",),
        space=(offset("E"), amplitude("A"), exponent("alpha")),
        formula=lambda xp, p, x: p["E"] + p["A"] * x["x"] ** -p["alpha"],
    )  # fmt: skip
    x = np.geomspace(1e8, 1.8e8, 12)
    noise = np.exp(0.001 * np.random.default_rng(seed).standard_normal(12))
    table = {"x": x, "loss": (1.5 + 30 * x**-0.2) * noise}
    ours, theirs = (fit(law, table, x="x") for law in (laws.power_law, own))
    assert theirs.status is ours.status is FitStatus.CONVERGED
    assert theirs.objective == pytest.approx(ours.objective, rel=1e-8)
    assert any("spans a factor of 1.8 only" in note for note in theirs.warnings)


def test_two_designs_reach_the_end_of_a_valley_that_runs_to_the_bounds():
    """Three breaks on a power law: two of them cancel at one place, and their exponents run on to
    10 and -10. Newton slides there, both ends 1e-4 too high and 5e-6 apart after 600 steps."""
    table = curve(40, 0.005, 1, lambda x: 0.3 + 30 * x**-0.3)
    variables, loss = {"x": table["x"].to_numpy()}, table["loss"].to_numpy()
    problem = Formula(learning_curves.THREE_BREAKS, variables, loss, True)
    end = search(problem, np.ones((1, 40)), 1e-3, rounds=1)
    assert end.certified.all()
