"""Rows kept out of a fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from scaling import laws
from scaling.common.errors import UserError

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
NOISE = 0.01


def table(seed: int, rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size, data = 10 ** rng.uniform(7, 9.5, rows), 10 ** rng.uniform(9, 11, rows)
    loss = laws.chinchilla.predict(TRUTH, params=size, tokens=data)
    return pd.DataFrame(
        {
            "params_total": size,
            "tokens": data,
            "flops_6nd": 6 * size * data,
            "loss": loss * np.exp(rng.normal(0, NOISE, rows)),
        }
    )


def test_held_out_rows_do_not_touch_the_fit():
    runs = table(0)
    kept = fit(laws.chinchilla, runs, holdout="flops_6nd>1e20", bootstrap=50)
    alone = fit(laws.chinchilla, runs[runs["flops_6nd"] <= 1e20], bootstrap=50)
    assert kept.params == alone.params
    assert kept.interval("alpha") == alone.interval("alpha")
    left = runs[runs["flops_6nd"] > 1e20]
    np.testing.assert_array_equal(kept.held_out.measured, left["loss"])
    assert kept.held_out.labels == tuple(f"row {at}" for at in left.index)
    assert f"{len(left)} runs held out on request" in " ".join(kept.warnings)


def test_interval_of_a_new_run_covers_at_its_level():
    """The constants alone cover about 80 % here. The law is true, so its part is to spare."""
    inside, without_law, alone = [], [], []
    for seed in range(12):
        held = fit(laws.chinchilla, table(seed), holdout="flops_6nd>3e19", bootstrap=100).held_out
        loss = held.measured
        for kept, (low, high) in (
            (inside, (held.low, held.high)),
            (without_law, held.prediction.interval("constants", "run noise")),
            (alone, held.prediction.constants),
        ):
            kept.append(np.mean((low <= loss) & (loss <= high)))
    assert 0.91 <= np.mean(without_law) <= 0.99
    assert np.mean(alone) < 0.87 and np.mean(inside) >= np.mean(without_law)


def test_errors_are_measured_above_predicted():
    held = fit(laws.chinchilla, table(1), holdout=np.arange(60) < 3).held_out
    np.testing.assert_allclose(held.relative_error, held.measured / held.predicted - 1)
    assert held.mean_absolute_error == pytest.approx(np.abs(held.relative_error).mean())
    assert "3 rows held out" in str(held) and "row 0" in str(held)


def test_interval_score_is_the_width_and_forty_times_the_miss():
    held = fit(laws.chinchilla, table(3), holdout=np.arange(60) < 3, bootstrap=50).held_out
    low, high = held.low, held.high
    inside, outside = np.sqrt(low * high), np.array([high[0] * 1.02, *np.sqrt(low * high)[1:]])
    width, score = np.log(high / low).mean(), []
    for loss in (inside, outside):
        points = dataclasses.replace(held.points, loss=loss)
        score.append(dataclasses.replace(held, points=points).interval_score)
    assert score == pytest.approx([width, width + 40 * np.log(1.02) / 3])


def test_no_interval_and_no_coverage_without_the_error_of_the_constants():
    """The noise of one run alone covered 8 % of rows far from the data."""
    held = fit(laws.chinchilla, table(2), holdout="flops_6nd>3e19").held_out
    assert np.isnan(held.low).all() and np.isnan(held.high).all() and np.isnan(held.coverage)
    first, head = str(held).splitlines()[0], str(held).splitlines()[2]
    assert "no intervals without bootstrap=1000" in first and "inside their" not in first
    assert "interval" not in head and "[" not in str(held)


@pytest.mark.parametrize(
    ("holdout", "said"),
    [
        ("flops_6nd>1e99", "no row is held out"),
        ("flops_6nd>0", "every row is held out"),
        ("flop>1", "no column 'flop'"),
        (np.ones(3, dtype=bool), "60 true-or-false values"),
    ],
)
def test_bad_holdout_is_one_line(holdout, said):
    with pytest.raises(UserError, match=said):
        fit(laws.chinchilla, table(0), holdout=holdout)


def test_without_a_holdout_there_is_nothing_to_show():
    assert fit(laws.chinchilla, table(0)).held_out is None
