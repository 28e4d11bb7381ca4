"""Tables of results, and what a notebook shows."""

from __future__ import annotations

import pandas as pd
import pytest
from messy import TRUTH, runs

from analysis import fit


@pytest.fixture(scope="module")
def result():
    return fit("chinchilla", runs().astype(str), bootstrap=40)


def test_constants(result):
    table = result.table()
    assert table.index.tolist() == list(TRUTH)
    assert (table["low"] < table["high"]).all()
    assert table.loc["alpha", "value"] == result.params["alpha"]
    assert "0.35" in result._repr_html_() and "<table" in result._repr_html_()
    assert fit("chinchilla", runs().astype(str)).table()["low"].isna().all()


def test_plans_and_predictions(result):
    plan = result.optimal([1e21, 1e22])
    table = plan.table()
    assert table.loc[(1e22, "params"), "value"] == plan.params[0][1]
    assert len(table) == 8 and "best split" in plan._repr_html_()
    predicted = result.predict(params=[1e9, 2e9], tokens=3e10)
    assert predicted.table()["value"].tolist() == predicted.value.tolist()
    assert isinstance(predicted.table(), pd.DataFrame) and "<table" in predicted._repr_html_()
