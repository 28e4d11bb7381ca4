"""Exponents of learning curves written from known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_studies import Row, write

from analysis.readings.hestness import Slope, read
from analysis.tables.study import load_study
from scaling.common.errors import UserError

SUBSETS = 2.0 ** np.arange(12, 20)
CHANCE = 2.0**13  # below it no family learns
SIZES = (2_000, 4_000, 8_000, 16_000, 32_000, 64_000)


def rows(slopes: dict[str, float]) -> list[Row]:
    """The best of six sizes goes as m^0.7; the loss of others is worse by its distance."""
    rng = np.random.default_rng(0)
    found = []
    for family, slope in slopes.items():
        for m in SUBSETS:
            least = 40 * max(m, CHANCE) ** slope * np.exp(rng.normal(0, 0.003))
            for size in SIZES:
                off = np.log(size / (2_000 * (m / 2**12) ** 0.7))
                metrics = {"loss": float(least * (1 + 0.05 * off**2))}
                sources = {"unique_by_source": {"subset": int(m)}}
                found.append(Row(family, metrics | sources, params=size))
    return found


def test_each_family_has_the_exponent_that_it_was_given(tmp_path: Path) -> None:
    slopes = {"transformer": -0.20, "lstm": -0.20, "other": -0.15}
    found = read(load_study(write(tmp_path, "hestness", rows(slopes))))
    assert found is not None
    for name, curve in found.families.items():
        assert curve.error is not None
        assert curve.size is not None
        low, high = curve.error.ends
        assert low < slopes[name] < high, name
        assert high - low < 0.03
        assert curve.size.ends[0] < 0.7 < curve.size.ends[1]
        assert not curve.middle[0], "chance is no part of a power law"
    verdicts = {pair: found.differences[pair].ends for pair in found.differences}
    low, high = verdicts["transformer", "lstm"]
    assert low < 0 < high
    assert verdicts["transformer", "other"][1] < 0
    assert "no difference shown" in str(found)
    (picture,) = found.pictures()
    assert len(picture.draw().axes) == 2


def test_a_difference_has_the_degrees_of_freedom_of_welch() -> None:
    """Equal errors add up; one that is exact leaves the other's."""
    same = Slope(-0.2, 0.01, 5) - Slope(-0.3, 0.01, 5)
    assert same == (pytest.approx(0.1), pytest.approx(0.01 * 2**0.5), pytest.approx(10))
    assert (Slope(-0.2, 0.01, 5) - Slope(-0.3, 0.0, 9)).freedom == pytest.approx(5)


def test_runs_without_subsets_are_refused(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, "hestness", [Row("transformer", {"loss": 2.0})]))
    with pytest.raises(UserError, match="no source named subset"):
        read(study)
