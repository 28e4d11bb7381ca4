"""The power-law region of a learning curve, found where it was put."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.estimators.learning_regions import Region, Regions, regions
from analysis.fitting.fit import fit
from scaling.common.errors import UserError
from scaling.laws import power_law_no_offset

SIZES = np.geomspace(1e3, 1e9, 25)  # a factor of 1.8 apart
ABSENT = {"start": 0.0, "end": np.inf}


def curve(start: float, end: float, noise: float = 0.01, seed: int = 0) -> pd.DataFrame:
    """eps ~ m^-0.2 from `start` to `end`, flat outside."""
    loss = np.exp(4 - 0.2 * np.log(np.clip(SIZES, start, end)))
    noisy = loss * np.exp(np.random.default_rng(seed).normal(0, noise, len(loss)))
    return pd.DataFrame({"samples": SIZES, "loss": noisy})


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
@pytest.mark.parametrize("start", [2e4, ABSENT["start"]])
@pytest.mark.parametrize("end", [1e8, ABSENT["end"]])
def test_breaks_are_found_within_a_gap_of_the_sizes(start: float, end: float, noise: float):
    for seed in range(5):
        found = regions(curve(start, end, noise, seed))
        # 3 % of noise moves a break by no more than the 1.8 between two sizes
        for where, true in ((found.start, start), (found.end, end)):
            if true in ABSENT.values():
                assert np.isnan(where)
            else:
                assert abs(np.log(where / true)) < np.log(1.8)
        assert found.exponent == pytest.approx(0.2, abs=0.01)
        assert found.warnings == ()


def test_rows_of_the_middle_fit_the_exponent_that_all_rows_hide():
    table = curve(2e4, 1e8)
    found = regions(table)
    middle = found.rows(Region.POWER_LAW)
    inside = table[middle]
    assert inside["samples"].between(1.5e4, 1.2e8).all()
    alpha = fit(power_law_no_offset, inside, x="samples").params["alpha"]
    assert alpha == pytest.approx(0.2, abs=0.005)
    assert fit(power_law_no_offset, table, x="samples").params["alpha"] < 0.18
    parts = [found.rows(region) for region in Region]
    assert (np.sum(parts, axis=0) == 1).all()
    assert table[found.rows(Region.SMALL_DATA)]["samples"].max() < inside["samples"].min()
    assert table[found.rows(Region.IRREDUCIBLE)]["samples"].min() > inside["samples"].max()


def test_a_floor_that_comes_slowly_ends_the_region():
    """a m^-b + g: no sharp end, but rows above the floor are separated from those on it."""
    table = pd.DataFrame({"samples": SIZES, "loss": 30 * SIZES**-0.4 + 0.02})
    found = regions(table)
    assert np.isnan(found.start)
    reducible = 30 * found.end**-0.4
    assert 0.05 < reducible / 0.02 < 5


def test_row_order_and_repeated_sizes_do_not_matter():
    table = curve(2e4, 1e8, 0.02)
    double = pd.concat([table, table]).sample(frac=1.0, random_state=0)
    one, two = regions(table), regions(double)
    assert (two.start, two.end) == pytest.approx((one.start, one.end))
    by_size = dict(zip(table["samples"], one.region, strict=True))
    assert list(two.region) == [by_size[size] for size in double["samples"]]


def test_running_sums_against_a_plain_regression():
    table = curve(2e4, 1e8, 0.02)
    found = regions(table)
    y = np.log(table["loss"].to_numpy())
    slope, _ = np.polyfit(np.log(np.clip(SIZES, found.start, found.end)), y, 1)
    assert -slope == pytest.approx(found.exponent, rel=1e-9)
    residual = y - np.polyval(np.polyfit(np.log(SIZES), y, 1), np.log(SIZES))
    plain = 25 * np.log(np.mean(residual**2)) + 2 * np.log(25)
    assert found.bic["power law"] == pytest.approx(plain, rel=1e-9)


def warned(table: pd.DataFrame, text: str) -> Regions:
    found = regions(table)
    assert any(text in line for line in found.warnings), found.warnings
    return found


def test_too_little_of_a_power_law_is_said():
    narrow = warned(curve(1e5, 3.5e5), "sizes: too few")
    assert narrow.rows(Region.POWER_LAW).sum() < 4
    warned(curve(1e5, 3.5e5), "a slope needs about ten")
    rising = curve(0.0, np.inf).assign(loss=lambda rows: 1 / rows["loss"])
    warned(rising, "does not fall")


def test_what_cannot_be_answered():
    with pytest.raises(UserError, match="4 different sizes"):
        regions(curve(2e4, 1e8).head(4))
    with pytest.raises(UserError, match="no column 'tokens'"):
        regions(curve(2e4, 1e8), samples="tokens")
    with pytest.raises(UserError, match="finite and positive"):
        regions(curve(2e4, 1e8).assign(loss=-1.0))
