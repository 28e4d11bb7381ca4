"""A law fed by another: values, intervals, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.inference.abilities.chained_laws import chained
from scaling.common.errors import UserError
from scaling.laws.chinchilla import chinchilla
from scaling.laws.error import error
from scaling.laws.overtraining import overtraining

LOSS = {"E": 1.8, "a": 212.0, "b": 367.0, "eta": 0.136}
ERROR = {"eps": 0.86, "k": 2.2, "gamma": 0.71}


def runs(noise: float = 0.002) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    params = np.repeat(np.geomspace(1e7, 4e8, 5), 4)
    tokens = params * np.tile([20, 80, 320, 640], 5)
    loss = overtraining.predict(LOSS, params=params, tokens=tokens)
    loss *= np.exp(rng.normal(0, noise, len(params)))
    wrong = error.predict(ERROR, loss=loss) + rng.normal(0, noise, len(params))
    return pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss, "wrong": wrong})


def fits(table: pd.DataFrame, bootstrap: int = 200) -> tuple[FitResult, FitResult]:
    how = {"objective": "raw_squared", "bootstrap": bootstrap}
    return fit(overtraining, table, **how), fit(error, table, loss="wrong", **how)


def test_the_second_law_takes_the_predicted_loss():
    first, second = fits(runs(), bootstrap=0)
    where = {"params": np.array([1e9, 7e9]), "tokens": np.array([1e12, 1.4e11])}
    made = chained(first, second, **where)
    by_hand = second.law.predict(second.params, loss=first.law.predict(first.params, **where))
    np.testing.assert_array_equal(made.value, by_hand)
    assert np.isnan(made.low).all() and np.isnan(made.high).all()


def test_the_interval_holds_the_truth_and_carries_both_bootstraps():
    first, second = fits(runs())
    where = {"params": 7e9, "tokens": 1.4e11}
    truth = error.predict(ERROR, loss=overtraining.predict(LOSS, **where))
    made = chained(first, second, **where)
    assert made.low < truth < made.high

    exact = runs(noise=0.0)
    sure_first, sure_second = fits(exact)
    of_first, of_second = (
        chained(first, sure_second, **where),
        chained(sure_first, second, **where),
    )
    ends = first.predict(**where).constants
    through = sure_second.law.predict(sure_second.params, loss=list(ends))
    np.testing.assert_allclose([of_first.low, of_first.high], through, rtol=1e-3)
    alone = second.predict(loss=overtraining.predict(sure_first.estimates, **where)).constants
    np.testing.assert_allclose([of_second.low, of_second.high], alone, rtol=1e-6)
    widths = [float(part.high - part.low) for part in (of_first, of_second)]
    # two independent widths add in quadrature, to what 200 resamples can tell
    assert float(made.high - made.low) == pytest.approx(np.hypot(*widths), rel=0.3)


def test_unequal_numbers_of_resamples_and_many_points_at_once():
    table = runs()
    first, second = fits(table, bootstrap=30)[0], fits(table, bootstrap=70)[1]
    grid = chained(first, second, params=np.geomspace(1e9, 1e10, 3)[:, None], tokens=[1e11, 1e12])
    assert grid.value.shape == grid.low.shape == (3, 2)
    assert (grid.low < grid.value).all() and (grid.value < grid.high).all()


def test_a_chain_ends_in_a_law_of_one_variable():
    table = runs()
    first = fit(overtraining, table)
    with pytest.raises(UserError, match=r"'chinchilla' takes params, tokens.*such as error"):
        chained(first, fit(chinchilla, table), params=1e9, tokens=1e11)
    with pytest.raises(UserError, match="'tokens' is missing"):
        chained(first, fit(error, table, loss="wrong"), params=1e9)


def test_equal_seeds_do_not_tie_the_resamples_of_the_two_fits():
    """The noise of the one is the noise of the other: tied, the widths would add up straight."""
    table = runs()
    truth = overtraining.predict(LOSS, params=table["params_total"], tokens=table["tokens"])
    table["wrong"] = error.predict(ERROR, loss=truth) + (table["loss"] - truth) / 6
    table["level"] = truth
    how = {"objective": "raw_squared", "bootstrap": 400}
    first = fit(overtraining, table, **how)
    second = fit(error, table, loss="wrong", columns={"loss": "level"}, **how)
    where = {"params": 1e8, "tokens": 1e10}
    ends = second.law.predict(second.params, loss=list(first.predict(**where).constants))
    low, high = second.predict(loss=overtraining.predict(first.estimates, **where)).constants
    widths = float(ends[1] - ends[0]), float(high - low)
    made = chained(first, second, **where)
    assert float(made.high - made.low) == pytest.approx(np.hypot(*widths), rel=0.15)
    assert np.hypot(*widths) < 0.75 * sum(widths)  # so that straight addition would show
