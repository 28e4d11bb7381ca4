"""The heading and the words follow the data; errors have one sign convention everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from synthetic import Plan, train_held_out, write_study

from analysis.inference import forecast
from analysis.report import plots
from analysis.report.evidence import Evidence, gather
from analysis.report.lesson import lesson
from analysis.report.page.render import render
from analysis.report.predict import predict_held_out
from analysis.tables.study import load_study


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    plan = Plan()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast, "BOOTSTRAP", 60)
        folder = write_study(tmp_path_factory.mktemp("lesson") / "study", plan)
        predict_held_out(folder)
        train_held_out(folder, plan)
        return gather(load_study(folder))


def measured(evidence: Evidence, factor: float) -> Evidence:
    """The same evidence, with the measurement at `factor` times the half-width of the bootstrap."""
    changed = []
    for each in evidence.verdicts:
        told = each.forecast
        half = told.bootstrap_high - told.loss
        full = replace_ends(told, told.loss - 8 * half, told.loss + 8 * half)
        changed.append(replace(each, forecast=full, measured=told.loss + factor * half))
    return replace(evidence, verdicts=tuple(changed))


def replace_ends(told: Any, low: float, high: float) -> Any:
    return type(told)(
        **{name: getattr(told, name) for name in told.__struct_fields__}
        | {"low": low, "high": high}
    )


@pytest.mark.parametrize(
    ("factor", "heading"),
    [
        (0.5, "The prediction held, even in the bootstrap's interval"),
        (2.0, "The full interval held; a bootstrap alone is too narrow"),
        (9.0, "The interval missed 1 of 1 measurements"),
    ],
)
def test_the_heading_is_what_the_runs_showed(evidence, factor, heading):
    assert lesson(measured(evidence, factor)).heading == heading


def test_without_a_measurement_or_a_prediction(evidence):
    before = replace(evidence, verdicts=())
    assert lesson(before).heading == "The prediction, before its measurement"
    nothing = replace(before, forecasts=())
    assert lesson(nothing).heading == "No prediction yet"


def test_errors_of_one_sign_are_called_a_bias(evidence):
    told = evidence.assessment
    for sign, side in ((1, "above"), (-1, "below")):
        result = replace(told.result)
        # the roll is solved once and kept: here, with other errors
        result.__dict__["rolled"] = tuple(
            replace(each, log_errors=sign * abs(each.log_errors)) for each in told.result.rolled
        )
        biased = replace(measured(evidence, sign * 9.0), assessment=replace(told, result=result))
        assert f"came out {side} its prediction" in lesson(biased).paragraphs[-1]
    mixed = replace(biased, verdicts=measured(evidence, 9.0).verdicts)
    assert "its prediction" not in lesson(mixed).paragraphs[-1]


def test_signs_are_measured_above_predicted_on_the_whole_page(evidence):
    above = measured(evidence, 2.0)
    (verdict,) = above.verdicts
    assert verdict.error == pytest.approx(verdict.measured / verdict.forecast.loss - 1)
    said = f"+{100 * verdict.error:.1f}\u00a0%"
    page = render(above, [], [], {})
    assert "Measured above predicted" in page and "Difference" not in page
    assert page.count(said) >= 2  # the tile and the card
    assert "none in this fit" not in page


def test_a_wild_band_sets_no_axis(evidence):
    """A few resamples with an absurd exponent: the axes stay with the runs and the law."""
    result, study = evidence.assessment.result, evidence.study
    wild = result.samples * np.exp(np.random.default_rng(0).normal(0, 3, result.samples.shape))
    ends = {}
    for name, fit in (("calm", result), ("wild", replace(result, samples=wild))):
        ends[name] = [
            draw(study, fit).axes[0].get_ylim() for draw in (plots.ladder, plots.frontier)
        ]
        plots.predicted_against_measured(fit).canvas.draw()
    np.testing.assert_allclose(ends["wild"], ends["calm"], rtol=1e-6)
