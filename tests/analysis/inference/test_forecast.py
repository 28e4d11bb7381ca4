"""Forecasts of a study, and the one interval that every door gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import Plan, write_study

from analysis.fitting.fit import fit
from analysis.inference import forecast
from analysis.inference.forecast import assess
from analysis.tables.study import load_study

RESAMPLES = 60


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forecast, "BOOTSTRAP", RESAMPLES)


def test_every_door_gives_one_interval(tmp_path: Path):
    study = load_study(write_study(tmp_path / "study"))
    (said,) = assess(study).forecasts
    rows, at = study.runs, {"params": said.params_total, "tokens": said.tokens}
    result = fit(
        study.law, study.fit_runs, loss=study.loss, bootstrap=RESAMPLES, resampling="dirichlet"
    )
    predicted = result.predict(**at)
    assert [predicted.value, predicted.low, predicted.high] == [said.loss, said.low, said.high]
    budget = 6 * said.params_total * said.tokens
    plan = result.optimal(budget)
    there = result.predict(params=plan.params[0], tokens=plan.tokens[0])
    assert plan.loss == (there.value, there.low, there.high)
    assert plan.prediction.contains == predicted.contains
    measured = rows.assign(
        loss_per_byte=rows["loss_per_byte"].fillna(said.loss), status="completed"
    )
    held = fit(
        study.law, measured, loss=study.loss, bootstrap=RESAMPLES, resampling="dirichlet",
        holdout=(rows["part"] == "held_out").to_numpy(),
    ).held_out  # fmt: skip
    np.testing.assert_allclose([held.low[0], held.high[0]], [said.low, said.high], rtol=1e-12)


def test_a_study_rolls_its_own_rungs(tmp_path: Path):
    ladder = load_study(write_study(tmp_path / "ladder"))
    # two sizes do not determine a third, so the roll begins at rung 3
    assert [(each.rung, each.fitted) for each in assess(ladder).result.rolled] == [(3, 12), (4, 15)]
    budgets = load_study(write_study(tmp_path / "isoflop", Plan(isoflop="yes")))
    assert [each.rung for each in assess(budgets).result.rolled] == [2, 3]
