"""Chains predict the ability of a larger run, with intervals that hold as often as they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from ability_worlds import TARGET, world
from quick import cases

from analysis.inference.abilities import curves
from analysis.inference.abilities.answers import Answers
from analysis.inference.abilities.chains import pass_until
from analysis.inference.abilities.densing import density
from analysis.inference.abilities.predict import OF_SAMPLES, chains, predict, steadiness

FEW, MANY = 10, 200


def covered(chain: str, worlds: Iterable[int]) -> tuple[np.ndarray, float]:
    """The shares of worlds whose truths lie in the interval, and its mean width."""
    inside, widths = [], []
    for seed in worlds:
        answers, accuracies, rate = world(seed)
        said = predict(answers, TARGET, chain)
        assert not said.refused
        truth = np.array([rate]) if chain == OF_SAMPLES else accuracies
        inside.append((said.low <= truth) & (truth <= said.high))
        widths.append(said.high - said.low)
    return np.mean(inside, axis=0), float(np.mean(widths))


QUICK = ("direct",)


def test_the_chains_are_found() -> None:
    assert {"direct", "two_step", "elusive", "pass_until", "cod"} <= set(chains())


@pytest.mark.parametrize(
    "chain",
    cases(chains(), QUICK),
)
def test_a_chain_covers_the_truth_of_few_worlds(chain: str) -> None:
    shares, width = covered(chain, range(FEW))
    assert shares[0] >= 0.8 and 0.02 < width < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("chain", chains())
def test_a_chain_covers_as_often_as_it_says(chain: str) -> None:
    shares, width = covered(chain, range(MANY))
    print(f"\n{chain}: {100 * shares} % of {MANY} worlds, mean width {width:.3f}")
    assert 0.90 <= shares[0] <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("draw", [1, 2])
def test_two_steps_cover_every_kind_of_items(draw: int) -> None:
    """Very many items, 200 others, and the 200 of the fit, on which a study measures."""
    shares, width = covered("two_step", range(draw * MANY, (draw + 1) * MANY))
    errors = 100 * np.sqrt(shares * (1 - shares) / MANY)
    said = ", ".join(f"{100 * a:.1f} +- {b:.1f}" for a, b in zip(shares, errors, strict=True))
    print(f"\ndraw {draw}: {said} % of {MANY} worlds, mean width {width:.3f}")
    assert shares.min() >= 0.90 and shares[-1] <= 0.99


SIZES = np.geomspace(1e4, 3.5e5, 7)


def noiseless(loss: np.ndarray, accuracy: np.ndarray) -> Answers:
    """Runs whose items all have the loss and the accuracy of the run."""
    loss, hits = (np.repeat(each[:, None], 4, axis=1) for each in (loss, accuracy))
    nothing = np.zeros((len(SIZES), 0))
    names = tuple(map(str, range(len(SIZES))))
    return Answers(
        "exact", names, SIZES, -loss, np.log(-np.expm1(-loss)), loss, hits, 0.25,
        nothing, nothing, -loss,
    )  # fmt: skip


@pytest.mark.parametrize("scale", [np.log, np.array], ids=["ln L", "L"])
def test_two_steps_hold_a_sigmoid_on_either_scale_of_a_loss_below_every_power_law(
    scale: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Exact rows do not tell the scales apart: each truth is inside, and the value lies between."""
    sizes = np.append(SIZES, 1.2e6)
    loss = 0.5 - 0.07 * np.log(sizes / 1e4)  # E = -inf: a floor at 0 would bend it the other way
    z = (scale(loss) - scale(loss[:7]).mean()) / np.ptp(scale(loss[:7]))
    accuracy = 0.25 + 0.75 * curves.sigmoid(-4 * z)
    said = predict(noiseless(loss[:7], accuracy[:7]), sizes[-1], "two_step")
    assert said.low <= accuracy[-1] <= said.high
    assert said.high - said.low < 0.1


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
