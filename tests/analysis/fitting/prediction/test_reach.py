"""Distance from the fitted rows: in predictions, plans, held-out rows and their JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.inference.abilities.chained_laws import chained
from scaling import laws
from scaling.common.errors import UserError


@pytest.fixture(scope="module")
def result(table) -> FitResult:
    return fit(laws.chinchilla, table)


def test_a_prediction_says_how_far_each_variable_lies(result):
    inside = result.predict(params=1e8, tokens=[1e9, 1e10])
    assert inside.distance == "" and (inside.beyond["tokens"] == 1).all()
    far = result.predict(params=[1e6, 3e9], tokens=2e10)
    assert far.beyond["params"] == pytest.approx([10, 10]) and far.beyond["tokens"] == 2
    assert far.distance == "compute 20 x, params 10 x, tokens 2 x outside the fitted rows"
    assert json.loads(json.dumps(far.to_json(), allow_nan=False))["beyond"]["tokens"] == 2
    assert far.to_json()["low"] == [None, None]


def test_a_plan_counts_its_compute_and_its_split(result):
    largest = 6 * 3e8 * 1e10
    plan = result.optimal([largest / 2, 1e6 * largest])
    assert plan.beyond["compute"] == pytest.approx([1, 1e6])
    assert plan.beyond["params"][1] == pytest.approx(plan.params[0][1] / 3e8)
    assert "compute 1e+06 x" in plan.distance
    assert result.optimal(largest).to_json()["beyond"]["compute"] == 1
    least = result.optimal(1.0)
    assert least.beyond["compute"] == pytest.approx(6e16)


def test_units_show_as_distance(table):
    """Millions and billions fit as well as ones, and the plan is then far outside them."""
    scaled = table.assign(params_total=table["params_total"] / 1e6, tokens=table["tokens"] / 1e9)
    assert fit(laws.chinchilla, scaled).optimal(1e21).beyond["compute"] > 1e12


def test_held_out_rows_say_how_far_they_are(table):
    held = fit(laws.chinchilla, table, holdout="params_total>1e8").held_out
    assert "compute 3 x, params 3 x outside the fitted rows" in str(held).splitlines()[0]


def test_a_chain_passes_the_distance_of_its_run(result, table):
    error = table.assign(err=0.85 - 0.3 * np.exp(-0.5 * table["loss"]))
    second = fit(laws.error, error, loss="err", columns={"loss": "loss"})
    said = chained(result, second, params=3e9, tokens=1e10)
    assert said.beyond["params"] == pytest.approx(10)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"params": [1e9, 2e9], "tokens": [1e10] * 3}, "shapes that do not go together"),
        ({"params": [], "tokens": []}, "params: no value"),
        ({"params": "1B", "tokens": 1e10}, "params='1B'"),
        ({"params": [[1e9], [1e9, 2e9]], "tokens": 1e10}, "params="),
        ({"params": -1.0, "tokens": 1e10}, "finite and positive"),
        ({"params": -np.ones((100, 20)), "tokens": 1e10}, "finite and positive"),
    ],
)
def test_bad_points_are_one_line(result, asked, message):
    with pytest.raises(UserError, match=message) as error:
        result.predict(**asked)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize("flops", ["lots", [], [1e20, "x"]])
def test_bad_budgets_are_one_line(result, flops):
    with pytest.raises(UserError, match="flops"):
        result.optimal(flops)


def test_a_budget_beyond_all_numbers_is_infinitely_far(result):
    """And no warning of numpy reaches the user: here they are errors."""
    assert result.optimal(1e-300).beyond["compute"] == np.inf
