"""The fit rolled forward over rungs of its own rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anybody import ladder

from analysis import fit
from analysis.fitting.prediction.roll import rungs
from scaling import laws
from scaling.laws.learning_curves import TWO_POWERS


def test_an_origin_sees_the_rungs_below_it_alone():
    table = ladder()
    first = fit(laws.chinchilla, table).rolled
    assert [each.rung for each in first] == [2, 3, 4, 5]
    assert [each.fitted for each in first] == [10, 15, 20, 25]
    last = table.index >= 25
    changed = fit(
        laws.chinchilla, table.assign(loss=table["loss"].where(~last, 1.05 * table["loss"]))
    )
    for before, after in zip(first, changed.rolled, strict=True):
        lifted = np.where(before.later == 5, np.log(1.05), 0.0)
        assert after.log_errors == pytest.approx(before.log_errors + lifted, abs=1e-5)
    alone = fit(laws.chinchilla, table[table.index < 20])
    at = {
        name: values[20:] for name, values in fit(laws.chinchilla, table).points.variables.items()
    }
    expected = np.log(table["loss"][20:]) - np.log(alone.predict_at(at).value)
    assert first[2].log_errors == pytest.approx(expected.to_numpy(), abs=1e-5)


def test_an_origin_knows_no_break_of_later_rows():
    """Of a law whose breaks lie among the rows: the ends and the starts are those of its own."""
    x = np.geomspace(1.0, 1e4, 14)
    truth = {"A": 1.5, "h": x[9], "alpha": 0.05, "beta": 0.4}
    noise = np.random.default_rng(0).normal(0, 0.002, len(x))
    table = pd.DataFrame({"x": x, "loss": TWO_POWERS.predict(truth, x=x) * np.exp(noise)})
    origin = next(each for each in fit(TWO_POWERS, table, x="x").rolled if each.fitted >= 7)
    assert origin.fitted < 9
    alone = fit(TWO_POWERS, table.iloc[: origin.fitted], x="x")
    later = table.iloc[origin.fitted :]
    expected = np.log(later["loss"]) - np.log(TWO_POWERS.predict(alone.estimates, x=later["x"]))
    assert origin.log_errors == pytest.approx(expected.to_numpy(), abs=1e-4)
    assert origin.log_errors[-1] < -0.3, "it could not foresee the break"
    assert origin.trend > 0.1, "its rows fall by 0.05 per e-fold, those of the table by more"


def test_the_error_of_the_constants_is_that_of_resampling():
    """First order against a bootstrap of the same rows."""
    table = ladder()
    origin = fit(laws.chinchilla, table).rolled[2]
    below = fit(laws.chinchilla, table[table.index < 20], bootstrap=200, objective="log_squared")
    at = {name: table[column][20:] for name, column in below.recipe.columns.items()}
    ratio = origin.constants / np.std(np.log(below.sampled(**at)), axis=0)
    assert 0.6 < np.median(ratio) < 1.7


def test_rungs_are_budgets_names_or_ten_groups():
    np.testing.assert_array_equal(rungs(np.array([1.0, 30.0, 1.1, 3.0])), [0, 2, 0, 1])
    named = np.array(["b", "a", "b", "a"])
    np.testing.assert_array_equal(rungs(np.array([1.0, 30.0, 1.1, 3.0]), named), [0, 1, 0, 1])
    dense = rungs(np.geomspace(1, 1e4, 200))
    assert set(dense) == set(range(10)) and (np.diff(dense) >= 0).all()


def test_shares_weigh_each_later_rung_alike_and_its_runs_as_the_fit_does():
    weights = np.tile([1.0, 2.0, 3.0, 1.0, 1.0], 6)
    for origin in fit(laws.chinchilla, ladder(), weights=weights).rolled:
        asked = weights[-len(origin.later) :]
        for rung in np.unique(origin.later):
            here = origin.later == rung
            np.testing.assert_allclose(origin.share[here] / origin.share[here][0], asked[here])
        sums = [origin.share[origin.later == rung].sum() for rung in np.unique(origin.later)]
        assert sums == pytest.approx([1 / len(sums)] * len(sums))
