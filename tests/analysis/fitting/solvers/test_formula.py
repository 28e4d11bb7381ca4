"""A law that a user writes in five lines is fitted and refused like those of the package."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws import Law, amplitude, exponent, offset, positive, real

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
