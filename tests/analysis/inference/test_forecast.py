"""The fit rolled forward, and its interval for a run beyond the fitted ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import Plan, write_study

from analysis.inference import forecast
from analysis.inference.forecast import RolledRung, assess, extrapolation_half_width, roll
from analysis.tables.study import load_study


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forecast, "BOOTSTRAP", 60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


def test_rolling_sees_only_the_rungs_below(folder: Path):
    study = load_study(folder)
    steps = roll(study.law, study.fit_runs, "loss_per_byte", "params_total", "tokens")
    # two sizes do not determine a third, so the roll begins at rung 3
    assert [(step.rung, step.fitted) for step in steps] == [(3, 12), (4, 15)]
    changed = study.fit_runs.copy()
    changed.loc[changed["rung"] == 4, "loss_per_byte"] *= 1.05
    again = roll(study.law, changed, "loss_per_byte", "params_total", "tokens")
    assert again[0].log_errors == pytest.approx(steps[0].log_errors)
    assert again[1].log_errors == pytest.approx(steps[1].log_errors + 0.04879, abs=1e-4)


def test_isoflop_rolls_from_the_third_budget(tmp_path: Path):
    study = load_study(write_study(tmp_path / "study", Plan(isoflop="yes")))
    assert [step.rung for step in assess(study).rolled] == [2, 3]


def test_half_width_grows_with_errors_and_with_distance(folder: Path):
    result = assess(load_study(folder)).result

    def width(error: float, step: float, target: float) -> float:
        rung = RolledRung(3, 12, ("a",), np.array([error]), step)
        return extrapolation_half_width(result, [rung], target)

    assert width(0.02, 1.0, 1.0) > 1.5 * width(0.005, 1.0, 1.0)
    assert width(0.02, 0.5, 1.0) > 1.5 * width(0.02, 1.0, 1.0)
    assert width(0.02, 2.0, 1.0) == width(0.02, 1.0, 1.0), "noise does not shrink with distance"
