"""Additive laws with held and tied parameters: the exact solver, against the one by derivatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling import laws
from scaling.common.errors import UserError

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


def table(floor: float = 1.8, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    params = np.repeat(np.geomspace(5e7, 1e10, 6), 5)
    tokens = np.tile(np.geomspace(1e9, 3e11, 5), 6)
    loss = laws.chinchilla.predict({**TRUTH, "E": floor}, params=params, tokens=tokens)
    return pd.DataFrame(
        {"params": params, "tokens": tokens, "loss": loss * np.exp(rng.normal(0, 0.006, 30))}
    )


@pytest.mark.parametrize(
    "law",
    [
        laws.chinchilla.given(E=1.8),
        laws.chinchilla.given(A=480.0),
        laws.chinchilla.given(E=1.8, B=2100.0, alpha=0.35),
        laws.chinchilla.tied(beta="alpha"),
        laws.chinchilla.tied(B="A"),
        laws.chinchilla.tied(A="B").tied(alpha="beta").given(E=1.8),
    ],
    ids=lambda law: ", ".join(law.relations),
)
def test_the_exact_solver_keeps_a_narrowed_law(law):
    runs = table()
    exact, derived = fit(law, runs), fit(replace(law, terms=()), runs)
    assert exact.engine.code.endswith("additive.py")
    assert derived.engine.code.endswith("formula.py")
    wrong = dict(law.equal).get("A") == "B"  # a tie that these rows do not have
    assert exact.status is derived.status
    assert exact.status is (FitStatus.MISFIT if wrong else FitStatus.CONVERGED)
    assert exact.objective == pytest.approx(derived.objective, rel=1e-10)
    assert exact.params == pytest.approx(derived.params, rel=1e-6)


def test_resamples_of_a_narrowed_law_are_those_of_its_formula():
    law, runs = laws.chinchilla.given(E=1.8).tied(beta="alpha"), table()
    exact, derived = (fit(each, runs, bootstrap=20) for each in (law, replace(law, terms=())))
    assert exact.samples == pytest.approx(derived.samples, rel=1e-4)
    assert exact.interval("beta") == exact.interval("alpha")
    assert np.isnan(exact.interval("E")).all()


def test_a_tie_across_kinds_goes_to_the_formula():
    assert fit(laws.power_law.tied(alpha="E"), table(), x="params").engine.code.endswith(
        "formula.py"
    )


def test_a_tied_law_without_a_floor_still_plans():
    """E = 0 is the floor of the law, whatever its other parameters are tied to."""
    runs = table(floor=0.0)
    free, tied = (
        fit(law, runs, bootstrap=100)
        for law in (laws.chinchilla, laws.chinchilla.tied(beta="alpha"))
    )
    assert tied.params["E"] == 0.0 or any("E is 0 in" in text for text in tied.warnings)
    assert np.isfinite(tied.optimal(1e21).params[0])
    assert tied.optimal(1e21).params[0] == pytest.approx(free.optimal(1e21).params[0], rel=0.5)


@pytest.mark.parametrize("law", [laws.chinchilla, laws.overtraining], ids=lambda law: law.name)
def test_a_term_of_no_floor_is_said_for_every_law(law):
    result = fit(law, table(floor=0.0, seed=5))
    if result.params["E"] == 0.0:
        assert any("E = 0 fits best" in text for text in result.warnings)
    assert np.isfinite(result.optimal(1e21).params[0])


def test_a_dead_term_of_a_narrowed_law_is_exactly_zero():
    runs = table()
    runs["loss"] = 1.8 + 480 * runs["params"] ** -0.35 + 0.01 * np.log(runs["tokens"] / 1e9)
    result = fit(laws.chinchilla.given(alpha=0.35), runs)
    assert result.params["B"] == 0.0 and result.status is FitStatus.MISFIT
    assert result.bounded == ("B", "beta")
    assert any("the loss rises with tokens" in text for text in result.warnings)


@pytest.mark.parametrize("floor", [2.3, 9.0])
def test_a_floor_above_losses_is_refused_with_their_number(floor):
    runs = table()
    below = int((runs["loss"] <= floor).sum())
    with pytest.raises(UserError, match=f"{below} of 30 rows lie at or below it"):
        fit(laws.chinchilla.given(E=floor), runs)


def test_nothing_left_to_fit_is_one_line():
    with pytest.raises(UserError, match="nothing is left to fit"):
        fit(laws.chinchilla.given(**TRUTH), table())
