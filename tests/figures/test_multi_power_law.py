"""The released scores of the multi-power law, and what the minimum of its objective predicts."""

from __future__ import annotations

import numpy as np
import pytest
from paths import needs_tables

from analysis.datasets import load
from analysis.datasets.multi_power_law import MODELS, learning_rates
from analysis.figures import Reproduction, Row, reproduce
from scaling.laws.annealing import features, multi_power

pytestmark = [needs_tables("multi_power_law"), pytest.mark.slow]  # a minute of fits


@pytest.fixture(scope="module")
def made() -> Reproduction:
    return reproduce("multi_power_law")


@pytest.fixture(scope="module")
def rows(made: Reproduction) -> dict[str, Row]:
    return {row.quantity: row for row in made.rows}


def test_released_constants_give_the_released_scores_to_the_last_digit(made: Reproduction):
    compared = [row for row in made.rows if row.tolerance is not None]
    assert len(compared) == 9
    assert [row.verdict for row in compared] == ["agrees"] * 9


@pytest.mark.parametrize("model", MODELS)
def test_our_fit_is_lower_on_the_fitted_curves(rows: dict[str, Row], model: str):
    row = rows[f"{model} objective, three fitted curves"]
    assert row.ours < row.published / 2


@pytest.mark.parametrize("model", MODELS)
def test_what_the_note_says_of_the_unseen_schedules(rows: dict[str, Row], model: str):
    """A lower R2, a larger mean error, a smaller worst one: still a prediction to 0.7 %."""
    r2, mean, worst = (
        rows[f"{model} {name}, our fit"]
        for name in ("R2", "mean absolute error", "worst relative error")
    )
    assert 0.996 < r2.ours < r2.published
    assert mean.published < mean.ours < 0.007
    assert worst.ours < min(worst.published, 0.007)


def test_the_rises_of_the_warmup_belong_to_the_sum():
    """The released constants without them miss the constant schedule."""
    rows = load("multi_power_law").query("run_id == '25M_constant_24000'")
    made = features(learning_rates("constant_24000"), rows["step"].to_numpy())
    released = multi_power.constants("luo2025_25M").values
    with_them = multi_power.predict(released, **made)
    without = multi_power.predict(released, **{**made, "drop": np.maximum(made["drop"], 0)})
    assert np.abs(with_them - rows["loss"]).mean() < 0.01
    assert np.abs(without - rows["loss"]).mean() > 0.05


def test_schedules_stand_above_their_losses(made: Reproduction):
    labels = [axes.get_ylabel() for axes in made.figure.axes]
    assert labels[0].startswith("learning rate")
    assert labels[3] == "validation loss, nats/token"
