"""Valleys of known shift: the interval covers it, and the answer agrees."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.estimators.valleys import Valley, Valleys
from analysis.hyperparameters.optimum import Where
from analysis.readings.transfer import Answer, Transfer, optimum, transfers

RATES = 2.0 ** np.arange(-10.0, -2.0)
WIDTHS = (16, 32, 64, 128)


def draw(
    rng: np.random.Generator,
    shift: float,
    *,
    seeds: int = 4,
    noise: float = 0.01,
    moves: float = 0.15,
    middle: float = -6.3,
) -> Transfer:
    """Parabolas of curvature 0.05 per octave squared whose least moves by `shift` per doubling.

    Each seed has its level and, for each size, a least that lies off by `moves` octaves rms. Half
    of that variance belongs to the seed and is equal in all sizes.
    """
    valleys = []
    common = rng.normal(0, moves * math.sqrt(0.5), (seeds, 1))
    for rung, width in enumerate(WIDTHS):
        own = rng.normal(0, moves * math.sqrt(0.5), (seeds, 1))
        least = middle + shift * (rung - 1.5) + common + own
        loss = 2.5 - 0.1 * rung + 0.05 * (np.log2(RATES) - least) ** 2
        loss = loss + rng.normal(0, 0.05, (seeds, 1)) + rng.normal(0, noise, loss.shape)
        sizes = {"model.width": float(width), "params_total": 12.0 * width**2}
        valleys.append(Valley(rung, ("mup",), sizes, tuple(range(seeds)), RATES, loss))
    (found,) = transfers(Valleys("optimizer.learning_rate", "params_total", tuple(valleys)))
    return found


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("shift", [0.0, -0.6])
def test_interval_covers_the_shift_as_often_as_it_says(shift, seeds):
    """A nominal 95 %, of 400 draws; their own standard error is 1.1 %."""
    rng = np.random.default_rng(7)
    found = [draw(rng, shift, seeds=seeds) for _ in range(400)]
    assert {each.reason for each in found} == {""}
    assert 0.92 <= np.mean([each.low <= shift <= each.high for each in found]) <= 0.98
    assert np.mean([each.shift for each in found]) == pytest.approx(shift, abs=0.01)


def test_optimum_of_a_size_is_covered_too():
    rng = np.random.default_rng(8)
    first = [draw(rng, -0.6).optima[0] for _ in range(400)]
    assert 0.92 <= np.mean([abs(o.log2 - -5.4) <= o.half_width for o in first]) <= 0.98


def test_steepness_towards_divergence_moves_the_least_and_hardly_the_shift():
    """e^{ku} - ku - 1 with k = 0.4: 2.2 times as steep two octaves above the least as below."""
    shift, k, valleys = -0.37, 0.4, []
    for rung, width in enumerate(WIDTHS):
        u = np.log2(RATES) - (-6.3 + shift * rung)
        loss = 2.5 + 0.1 / k**2 * (np.exp(k * u) - k * u - 1)
        valleys.append(
            Valley(rung, ("mup",), {"model.width": float(width)}, (0,), RATES, loss[None])
        )
    (found,) = transfers(Valleys("optimizer.learning_rate", "params_total", tuple(valleys)))
    assert found.optima[0].log2 == pytest.approx(-6.5, abs=0.05)  # not -6.3
    assert found.shift == pytest.approx(shift, abs=0.02)


def test_answer_is_right_where_there_are_seeds_enough_and_never_hasty():
    rng = np.random.default_rng(9)
    stays = [draw(rng, 0.0, seeds=5).answer for _ in range(100)]
    moves = [draw(rng, -0.6, seeds=5).answer for _ in range(100)]
    assert np.mean([answer is Answer.YES for answer in stays]) > 0.7
    assert np.mean([answer is Answer.NO for answer in stays]) < 0.06
    assert np.mean([answer is Answer.NO for answer in moves]) > 0.9
    assert Answer.YES not in moves


def test_one_seed_gives_the_shift_without_an_interval_and_says_so():
    found = draw(np.random.default_rng(1), -0.6, seeds=1, noise=0.0, moves=0.0)
    assert found.shift == pytest.approx(-0.6)
    assert (found.reason, found.answer) == ("one seed, so no interval", Answer.UNDETERMINED)
    assert math.isnan(found.low) and math.isnan(found.optima[0].half_width)
    assert str(found.optima[0]) == "-5.40"


def test_least_at_an_edge_is_a_bound_and_leaves_the_shift_open():
    found = draw(np.random.default_rng(1), 0.9, middle=-8.4)
    assert [each.where for each in found.optima] == [Where.LOW, *3 * [Where.INSIDE]]
    assert str(found.optima[0]) == "≤ -10"
    assert math.isnan(found.shift) and found.answer is Answer.UNDETERMINED
    assert "no least at model.width 16 (at or below the low edge" in found.reason


def valley(values: np.ndarray, losses: np.ndarray) -> Valley:
    return Valley(0, (), {"params_total": 1.0}, tuple(range(len(losses))), values, losses)


@pytest.mark.parametrize(
    ("values", "losses", "where"),
    [
        ([1, 8, 64, 512], [[3, 2, 1, 2]], Where.TOO_FEW),  # one value within two octaves
        ([1, 2, 4, 8], [[3, 2, 1, 2], [1, 1.9, 1.9, 1.1]], Where.NOT_CONVEX),  # without the first
        ([1, 2, 4, 8], [[3, 2, 1, 0.9]], Where.HIGH),
        ([0, 1, 2, 4], [[0.9, 2, 1, 2]], Where.LOW),
        ([0, 1, 2, 4], [[3, 2, 1, 2]], Where.INSIDE),  # values without a logarithm are left out
    ],
)
def test_what_is_no_least_is_told_by_name(values, losses, where):
    assert optimum(valley(np.array(values, float), np.array(losses)), 1.0).where is where
