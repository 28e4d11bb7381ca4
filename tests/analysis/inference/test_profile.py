"""Profile intervals against linear regression, where everything is known in closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.inference.profile import profile
from scaling import laws
from scaling.common.errors import UserError

Z = 1.959964  # of a two-sided 95 %


def runs(noise: np.ndarray, offset: float = 0.0) -> pd.DataFrame:
    x = np.geomspace(1e17, 1e22, len(noise))
    return pd.DataFrame({"x": x, "loss": (offset + 40 * x**-0.07) * np.exp(noise)})


def test_quasi_is_the_interval_of_a_linear_regression():
    """ln L = ln A - alpha ln x: alpha +- z s / sqrt(S_xx), with s^2 over n - 2."""
    table = runs(np.random.default_rng(0).normal(0, 0.02, 40))
    result = fit(laws.power_law_no_offset, table, x="x", objective="log_squared")
    x = np.log(table["x"].to_numpy())
    half = Z * np.sqrt(np.sum(result.residuals**2) / 38 / np.sum((x - x.mean()) ** 2))
    found = profile(result, "alpha", calibration="quasi")
    assert found.low == pytest.approx(result.params["alpha"] - half, abs=1e-3 * half)
    assert found.high == pytest.approx(result.params["alpha"] + half, abs=1e-3 * half)
    narrower = profile(result, "alpha", calibration="quasi", level=0.68)
    assert found.low < narrower.low < narrower.value < narrower.high < found.high


def test_calibration_sees_what_quasi_cannot():
    """Noise that grows towards both ends: the variance of the slope is that of the sandwich,
    2.2 times that of alike residuals, and quasi ignores it."""
    rng = np.random.default_rng(1)
    spread = np.abs(np.linspace(-1, 1, 400)) ** 2
    result = fit(
        laws.power_law_no_offset, runs(rng.normal(0, 0.05 * spread)), x="x", objective="log_squared"
    )
    x = np.log(result.points.variables["x"])
    x = x - x.mean()
    meat = np.sum(x**2 * result.residuals**2) / np.sum(x**2)
    quasi, calibrated = (
        profile(result, "alpha", calibration=kind).scale for kind in ("quasi", "calibrated")
    )
    assert meat > 1.7 * quasi
    # a mean of 200 draws of chi2_1 is within 30 % of its own, three times its deviation
    assert calibrated == pytest.approx(meat, rel=0.3)


def test_profile_and_bootstrap_tell_the_same_of_a_huber_fit():
    rng = np.random.default_rng(2)
    params = np.repeat(np.geomspace(5e7, 1e10, 12), 8)
    tokens = np.tile(np.geomspace(1e9, 3e11, 8), 12)
    truth = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
    loss = laws.chinchilla.predict(truth, params=params, tokens=tokens)
    loss = loss * np.exp(rng.normal(0, 0.008, 96))
    table = pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss})
    result = fit(laws.chinchilla, table, bootstrap=400)
    found, (low, high) = profile(result, "alpha"), result.interval("alpha")
    assert found.low < found.value < found.high
    assert (found.high - found.low) == pytest.approx(high - low, rel=0.3)


def test_an_end_that_nothing_refuses_is_the_bound():
    """Few noisy runs do not tell a floor from none."""
    table = runs(np.random.default_rng(4).normal(0, 0.08, 12), offset=0.3)
    result = fit(laws.power_law, table, x="x", objective="log_squared")
    assert result.params["E"] > 0
    assert profile(result, "E", calibration="quasi").low == 0.0


@pytest.mark.parametrize(
    ("name", "calibration", "message"),
    [
        ("alpa", "quasi", "no parameter 'alpa': did you mean 'alpha'"),
        ("alpha", "quas", "calibration 'quas': did you mean 'quasi'"),
        ("E", "quasi", "E is at a bound or not identified"),
    ],
)
def test_profiles_that_make_no_sense(name: str, calibration, message: str):
    table = runs(np.zeros(12))
    table["loss"] -= 0.2  # no floor
    with pytest.raises(UserError, match=message):
        profile(fit(laws.power_law, table, x="x"), name, calibration=calibration)
