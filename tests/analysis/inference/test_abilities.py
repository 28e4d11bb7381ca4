"""Chains predict the ability of a larger run, with intervals that hold as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from ability_worlds import TARGET, world
from quick import cases

from analysis.inference.abilities import curves
from analysis.inference.abilities.chains import pass_until
from analysis.inference.abilities.densing import density
from analysis.inference.abilities.predict import OF_SAMPLES, chains, predict, steadiness

FEW, MANY = 10, 200


def covered(chain: str, worlds: int) -> tuple[float, float]:
    """The share of worlds whose truth lies in the interval, and the mean width."""
    inside, widths = [], []
    for seed in range(worlds):
        answers, accuracy, rate = world(seed)
        said = predict(answers, TARGET, chain)
        assert not said.refused
        truth = rate if chain == OF_SAMPLES else accuracy
        inside.append(said.low <= truth <= said.high)
        widths.append(said.high - said.low)
    return float(np.mean(inside)), float(np.mean(widths))


QUICK = ("direct",)


def test_the_chains_are_found() -> None:
    assert {"direct", "two_step", "elusive", "pass_until", "cod"} <= set(chains())


@pytest.mark.parametrize(
    "chain",
    cases(chains(), QUICK),
)
def test_a_chain_covers_the_truth_of_few_worlds(chain: str) -> None:
    share, width = covered(chain, FEW)
    assert share >= 0.8 and 0.02 < width < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("chain", chains())
def test_a_chain_covers_as_often_as_it_says(chain: str) -> None:
    share, width = covered(chain, MANY)
    print(f"\n{chain}: {100 * share:.1f} % of {MANY} worlds, mean width {width:.3f}")
    assert 0.90 <= share <= 0.99


def test_a_curve_is_found_again() -> None:
    truth, x = np.array([[2.0, -1.0], [0.5, 3.0]]), np.linspace(-3, 3, 9)

    def curve(theta: np.ndarray, at: np.ndarray) -> np.ndarray:
        return curves.sigmoid(theta[:, :1] * at - theta[:, 1:])

    found = curves.fit(curve, x, curve(truth, x), np.array([[1.0, 0.0], [3.0, 3.0]]))
    np.testing.assert_allclose(found, truth, rtol=1e-6)


def test_the_rate_of_passing_is_unbiased_under_either_end() -> None:
    rng, p = np.random.default_rng(0), 0.06
    passes = rng.uniform(size=(40_000, 64)) < p
    total = passes.cumsum(1)
    drawn = np.minimum((total < 3).sum(1) + 1, 64)
    passed = np.minimum(total[:, -1], 3)
    assert (passed < 3).mean() > 0.2, "many are censored"
    found = pass_until.rates(drawn.astype(float), passed.astype(float), 3)
    assert found.mean() == pytest.approx(p, abs=4 * found.std() / 200)
    assert (passed / drawn).mean() > p * 1.1, "r / K is biased"


def test_a_held_out_reference_run_has_density_one() -> None:
    inside = []
    for seed in range(FEW):
        answers, *_ = world(seed)
        last = answers.params == answers.params.max()
        one = np.flatnonzero(last)[:1]
        reference = answers.of(~last)
        other = answers.of(np.isin(np.arange(len(last)), one))
        drawn = density(reference, other, np.random.default_rng(seed))
        low, high = np.quantile(drawn[1:], [0.025, 0.975])
        inside.append(low <= 1 <= high)
    assert np.mean(inside) >= 0.8


def test_smooth_measures_are_steadier_than_accuracy() -> None:
    answers, *_ = world(0)
    found = {each.measure: each for each in steadiness(answers)}
    smooth, hits = found["ln p of the right choice"], found["accuracy"]
    assert smooth.rank > hits.rank > 0
    assert 0.5 < hits.decision <= 1 and smooth.noise > 0
