"""Tables that determine only a part of the law: the message, and no plausible number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling import laws
from scaling.common.errors import UserError

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


@pytest.fixture
def table() -> pd.DataFrame:
    params = np.repeat(np.geomspace(5e7, 1e10, 6), 5)
    tokens = np.tile(np.geomspace(1e9, 3e11, 5), 6)
    return measured(params, tokens, TRUTH)


def measured(params: np.ndarray, tokens: np.ndarray, truth: dict[str, float]) -> pd.DataFrame:
    loss = laws.chinchilla.predict(truth, params=params, tokens=tokens)
    loss = loss * np.exp(np.random.default_rng(3).normal(0, 0.006, len(loss)))
    return pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss})


@pytest.mark.parametrize("column", ["params_total", "tokens", "loss"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 0.0, -1.0])
def test_what_has_no_logarithm_is_refused_by_row(table: pd.DataFrame, column: str, value: float):
    table.loc[11, column] = value
    if column == "loss" and not np.isfinite(value):  # a run without one is left out, and named
        assert any("row 11" in note for note in fit(laws.chinchilla, table).warnings)
        return
    with pytest.raises(UserError, match=rf"'{column}' must be finite and positive \(row 11: "):
        fit(laws.chinchilla, table)


def test_one_size_alone(table: pd.DataFrame):
    """N constant: B and beta stand, and E + A / N^alpha as one number."""
    result = fit(laws.chinchilla, table.assign(params_total=1e9), bootstrap=20)
    assert result.status is FitStatus.NOT_IDENTIFIED
    assert set(result.unidentified) == {"E", "A", "alpha"}
    assert np.isnan(result.interval("A")).all()
    assert np.isfinite(result.interval("beta")).all()


def test_exchanged_terms_on_a_line_have_no_optimum(table: pd.DataFrame):
    """D = 20 N: alpha and beta swap without a trace in the objective."""
    params = table["params_total"].to_numpy()
    line = measured(params, 20 * params, TRUTH)
    result = fit(laws.chinchilla, line)
    at = result.estimates
    swapped = {
        "E": at["E"], "alpha": at["beta"], "beta": at["alpha"],
        "A": at["B"] * 20 ** -at["beta"], "B": at["A"] * 20 ** at["alpha"],
    }  # fmt: skip
    curves = [laws.chinchilla.predict(p, **result.points.variables) for p in (at, swapped)]
    assert curves[0] == pytest.approx(curves[1], rel=1e-12)
    assert any("can be exchanged" in text for text in result.warnings)
    with pytest.raises(UserError, match="no compute optimum"):
        result.optimal(1e22)


def test_a_term_that_is_not_there_is_flagged(table: pd.DataFrame):
    """Losses that rise with tokens: no power of D with a positive factor helps."""
    loss = 1.8 + 480 * table["params_total"] ** -0.35 + 0.01 * np.log(table["tokens"] / 1e9)
    result = fit(laws.chinchilla, table.assign(loss=loss), bootstrap=20)
    assert result.status is FitStatus.MISFIT
    assert "B" in result.bounded and result.params["B"] == 0.0
    assert np.isnan(result.interval("B")).all() and np.isnan(result.interval("beta")).all()
    assert any("the loss rises with tokens, so no falling" in text for text in result.warnings)
    with pytest.raises(UserError, match="no compute optimum"):
        result.optimal(1e22)
