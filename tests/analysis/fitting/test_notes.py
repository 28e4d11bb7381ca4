"""Notes of a fit: which bound, which direction, and whether the law has the shape of the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling import laws
from scaling.laws import Law, amplitude, exponent, offset

X = np.geomspace(1e3, 1e7, 24)


def rows(loss: np.ndarray, noise: float = 0.004, seed: int = 0, x: np.ndarray = X) -> pd.DataFrame:
    drawn = np.random.default_rng(seed).normal(0, noise, len(x))
    return pd.DataFrame({"x": x, "loss": loss * np.exp(drawn)})


def said(text: str, table: pd.DataFrame, law: Law = laws.power_law, **options) -> bool:
    return any(text in note for note in fit(law, table, x="x", **options).warnings)


POWER = 1.5 + 40 * X**-0.4


@pytest.mark.parametrize(
    "shape",
    [
        np.minimum(6.9, 6.9 * (X / 3e5) ** -0.6),  # a plateau of small data
        2 + 0.05 * np.log(X / 1e5) ** 2,  # a U
        POWER * (1 + 0.05 * np.tanh(np.log(X / 1e5))),  # a step
    ],
    ids=["plateau", "U", "step"],
)
def test_another_shape_shows_in_the_signs_of_the_residuals(shape):
    assert said("lack of fit: residuals keep one sign over long stretches of x", rows(shape))


def test_a_law_of_the_right_shape_is_left_alone():
    alarms = [said("lack of fit", rows(POWER, seed=seed)) for seed in range(40)]
    assert not any(alarms)


def test_scatter_above_that_of_repeats_is_lack_of_fit():
    """Sizes differ by 3 %, seeds by 0.3 %: the law explains the seeds and not the sizes."""
    x = np.repeat(np.geomspace(1e3, 1e7, 8), 3)
    bumps = np.repeat(np.exp(np.random.default_rng(4).normal(0, 0.03, 8)), 3)
    bent = rows((1.5 + 40 * x**-0.4) * bumps, 0.003, 1, x)
    assert said("between repeats of one setting", bent)
    alarms = [said("lack of fit", rows(1.5 + 40 * x**-0.4, 0.003, seed, x)) for seed in range(20)]
    assert not any(alarms)
    twice = pd.concat([rows(POWER, 0.02), rows(POWER, 0.02)], ignore_index=True)
    assert not said("lack of fit", twice), "a row written twice is no repeat"


def test_a_rising_loss_is_said_to_rise_and_has_no_interval():
    result = fit(laws.power_law, rows(2.2 + 0.05 * np.log(X)), x="x", bootstrap=100)
    assert any("the loss rises with x" in note for note in result.warnings)
    assert result.status is FitStatus.NOT_IDENTIFIED
    assert all(np.isnan(result.interval(name)).all() for name in ("E", "A", "alpha"))


def test_which_bound_and_which_value():
    low = Law(
        "low", form="L = E + A / x^alpha", variables=("x",),
        space=(offset("E", high=1.0), amplitude("A"), exponent("alpha")),
        formula=lambda xp, p, x: p["E"] + p["A"] * x["x"] ** -p["alpha"],
    )  # fmt: skip
    assert said("E is at its upper bound, 1", rows(POWER), low)
    assert said("E = 0 fits best", rows(40 * X**-0.4 - 0.02), low)
    steep = 1.5 + 1e30 * X**-9.0
    assert said("alpha is at its upper bound, 6", rows(steep), laws.power_law)


def test_few_clusters_and_few_resamples_are_noted():
    table = rows(POWER).assign(run=np.arange(24) // 6)
    assert said("4 clusters of 24 rows (fewer than 10", table, bootstrap=20, cluster="run")
    assert said("20 resamples are few", table, bootstrap=20)
    assert not said("few", table, bootstrap=100)
