"""The reading of runs with repeats: the worth of each is the size that it was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_studies import Row, write

from analysis.readings import repeated
from analysis.tables.study import load_study
from scaling.common.errors import UserError

SIZES = (2_000, 5_000, 12_000, 30_000, 70_000)
REPEATS = (4, 16, 64, 256)


def loss(size: float) -> float:
    return 1.0 + 30 / size**0.4


def worth(repeats: float) -> float:
    """Half of its size at 32 repeats, and the more the further away."""
    return float(0.5 + 0.05 * np.log(repeats / 32) ** 2)


def rows(sizes: tuple[int, ...]) -> list[Row]:
    rng = np.random.default_rng(0)

    def measured(size: float) -> float:
        return float(loss(size) * np.exp(rng.normal(0, 0.002)))

    found = [Row("clean", {"loss": measured(N)}, seed, N) for N in sizes for seed in range(2)]
    for repeats in REPEATS:
        sources = {
            "epochs_by_source": {"again": float(repeats), "fresh": 0.3},
            "weights_by_source": {"again": 0.5, "fresh": 0.5},
        }
        size = 30_000 * worth(repeats)
        found.append(Row("repeated", {"loss": measured(size), **sources}, 0, 30_000))
    return found


def test_each_run_is_worth_what_it_was_given(tmp_path: Path) -> None:
    found = repeated.read(load_study(write(tmp_path, "repeated", rows(SIZES))))
    assert found is not None
    assert [run.repeats for run in found.runs] == list(REPEATS)
    held = 0
    for run in found.runs:
        value, low, high = run.ratio
        held += low <= worth(run.repeats) <= high
        assert value == pytest.approx(worth(run.repeats), rel=0.15)
    assert held >= 3  # of four intervals of 95 %; test_effective_size.py counts more
    (top,) = found.peaks.values()
    assert 20 < top.repeats < 50
    assert top.low < 32 < top.high
    assert "50 % of the tokens seen" in str(found)
    assert [len(table.rows) for table in found.tables] == [4, 1]
    (picture,) = found.pictures()
    assert picture.draw().axes


def test_too_few_clean_sizes_are_refused_and_no_repeats_are_no_answer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="3 sizes without repeats; the clean law needs 4"):
        repeated.read(load_study(write(tmp_path / "a", "repeated", rows(SIZES[:3]))))
    clean = [row for row in rows(SIZES) if row.label == "clean"]
    assert repeated.read(load_study(write(tmp_path / "b", "repeated", clean))) is None
