"""Rank correlations against their definitions, and the coverage of their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scaling.ranks import kendall, kendall_interval, spearman, spearman_interval


def test_rank_correlations():
    """Ties take the mean of their ranks, and their pairs leave tau_b."""
    assert spearman([1.0, 2, 3], [10.0, 20, 15]) == pytest.approx(0.5)
    assert kendall([1.0, 2, 3], [10.0, 20, 15]) == pytest.approx(1 / 3)
    for correlation in (spearman, kendall):
        assert math.isnan(correlation(np.ones(3), np.arange(3.0)))
    a, b = np.random.default_rng(0).integers(5, size=(2, 30)).tolist()
    pairs = [(a[i] - a[j], b[i] - b[j]) for i in range(30) for j in range(i)]
    agreed = sum((x * y > 0) - (x * y < 0) for x, y in pairs)
    untied = [sum(pair[k] != 0 for pair in pairs) for k in (0, 1)]
    assert kendall(a, b) == pytest.approx(agreed / math.sqrt(untied[0] * untied[1]))
    means = [[sum(y < x for y in c) + c.count(x) / 2 for x in c] for c in (a, b)]
    assert spearman(a, b) == pytest.approx(np.corrcoef(means)[0, 1])


@pytest.mark.parametrize("r", [0.0, -0.8])
def test_intervals_hold_the_truth(r: float):
    """Of normal pairs with correlation r: tau = 2/pi asin r, and rho = 6/pi asin(r/2)."""
    rng, draws = np.random.default_rng(1), 400
    truths = {
        kendall_interval: 2 / np.pi * np.arcsin(r),
        spearman_interval: 6 / np.pi * np.arcsin(r / 2),
    }
    held = dict.fromkeys(truths, 0)
    for x, noise in rng.normal(size=(draws, 2, 24)):
        y = r * x + math.sqrt(1 - r**2) * noise
        for interval, truth in truths.items():
            found = interval(x, y)
            held[interval] += found.low <= truth <= found.high
    assert all(0.92 <= count / draws <= 0.985 for count in held.values()), held


def test_a_full_agreement_of_few_rows_is_not_certain():
    for interval in (kendall_interval, spearman_interval):
        few, more = (interval(range(n), range(n)) for n in (6, 24))
        assert few.value == few.high == 1 and 0 < few.low < more.low < 1
        assert math.isnan(interval(range(4), range(4)).low)
