"""Compute gain and crossing, on families whose answers are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.inference.compute_gain import crossing, gain, with_lack_of_fit
from scaling import laws
from scaling.common.errors import UserError

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
# L(N, D) of the second is that of the first at N / 2 and D / 3: it needs six times the compute
SIXFOLD = {**TRUTH, "A": 480.0 * 2**0.35, "B": 2100.0 * 3**0.37}


def grid(truth: dict[str, float], noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """60 runs: 10 sizes by 6 token counts."""
    params = np.repeat(np.geomspace(5e7, 1e10, 10), 6)
    tokens = np.tile(np.geomspace(1e9, 3e11, 6), 10)
    loss = laws.chinchilla.predict(truth, params=params, tokens=tokens)
    loss = loss * np.exp(np.random.default_rng(seed).normal(0, noise, 60))
    return pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss})


def line(A: float, alpha: float, noise: float = 0.0, seed: int = 0, E: float = 0.0) -> FitResult:
    """L(C) = E + A / C^alpha over 20 budgets from 1e17 to 1e21, fitted without E where E = 0."""
    flops = np.geomspace(1e17, 1e21, 20)
    loss = E + A * flops**-alpha
    loss = loss * np.exp(np.random.default_rng(seed).normal(0, noise, 20))
    law = laws.power_law if E else laws.power_law_no_offset
    return fit(law, pd.DataFrame({"flops_6nd": flops, "loss": loss}), bootstrap=200)


@pytest.mark.parametrize("target", [{"budget": 1e19}, {"budget": 1e26}, {"loss": 2.2}])
def test_a_known_gain(target: dict[str, float]):
    a, b = (fit(laws.chinchilla, grid(truth)) for truth in (TRUTH, SIXFOLD))
    found = gain(a, b, **target)
    assert found.value == pytest.approx(6.0, rel=1e-5)
    assert gain(b, a, **target).value == pytest.approx(1 / 6, rel=1e-5)
    assert np.isnan(found.low) and np.isnan(found.unreached), "no bootstrap, no interval"
    assert float(a.optimal(found.budget).loss[0]) == pytest.approx(found.loss, rel=1e-9)
    assert float(b.optimal(6 * found.budget).loss[0]) == pytest.approx(found.loss, rel=1e-5)


def test_a_gain_that_no_row_determines_is_refused_in_words():
    """Half of the resamples are flat above the loss, which they never reach, half below it."""
    a, b = (line(900.0, 0.16, noise=0.004, seed=seed, E=1.5) for seed in (1, 2))
    known = gain(a, b, budget=1e19)
    assert not known.undetermined
    flat = np.zeros_like(b.samples)
    flat[:, b.law.parameters.index("E")] = np.tile([1.0, 3.0], 100)
    found = gain(a, dataclasses.replace(b, samples=flat), budget=1e19)
    assert (found.value, found.low, found.high) == (known.value, 0, np.inf)
    assert found.undetermined.endswith("at no budget in 50% of resamples, and at any in others")


def test_lack_of_fit_widens_the_interval_by_the_noise_over_the_slope():
    a, b = (line(900.0, 0.16, noise=0.004, seed=seed, E=1.5) for seed in (1, 2))
    found = with_lack_of_fit(gain(a, b, budget=1e19), a, b)
    assert found.fit_low < found.low < found.value < found.high < found.fit_high
    pair = [line(900.0, 0.16, noise=1e-5, seed=seed, E=1.5) for seed in (1, 2)]
    quiet = with_lack_of_fit(gain(*pair, budget=1e19), *pair)
    assert np.log(quiet.fit_high) < 0.1 * np.log(found.fit_high)


def test_a_gain_of_power_laws_with_different_floors_and_exponents():
    """C_B by hand: (A_b / (L - E_b))^(1 / alpha_b)."""
    a, b = line(900.0, 0.16, E=1.5), line(400.0, 0.14, E=1.4)
    at = 1.5 + 900.0 * 1e20**-0.16
    by_hand = (400.0 / (at - 1.4)) ** (1 / 0.14) / 1e20
    assert gain(a, b, budget=1e20).value == pytest.approx(by_hand, rel=1e-5)
    assert gain(a, b, loss=at).value == pytest.approx(by_hand, rel=1e-5)


def test_a_law_is_worth_nothing_over_its_own_frontier():
    """L* (C) of chinchilla is a power law of C with the same floor."""
    surface = fit(laws.chinchilla, grid(TRUTH))
    flops = np.geomspace(1e18, 1e23, 30)
    frontier = pd.DataFrame({"flops_6nd": flops, "loss": surface.optimal(flops).loss[0]})
    curve = fit(laws.power_law, frontier)
    assert gain(surface, curve, budget=1e21).value == pytest.approx(1.0, rel=1e-4)


def test_the_interval_holds_the_true_gain_about_as_often_as_it_says():
    """20 noisy pairs at a nominal 95 %: fewer than 16 would happen once in 390."""
    held = 0
    for seed in range(20):
        a, b = (
            fit(laws.chinchilla, grid(truth, 0.005, seed + 1000 * at), bootstrap=80)
            for at, truth in enumerate((TRUTH, SIXFOLD))
        )
        found = gain(a, b, budget=1e22)
        held += found.low <= 6.0 <= found.high
        assert found.low < found.value < found.high
    assert held >= 16


def test_fits_of_the_same_rows_are_paired():
    """Against itself a law gains exactly nothing; rows of another name are other rows."""
    runs = grid(TRUTH, 0.005)
    renamed = runs.set_index(runs.index + 100)
    same, again, other = (
        fit(laws.chinchilla, table, bootstrap=100) for table in (runs, runs, renamed)
    )
    paired = gain(same, again, budget=1e22)
    assert (paired.low, paired.value, paired.high) == pytest.approx((1.0, 1.0, 1.0), rel=1e-9)
    apart = gain(same, other, budget=1e22)
    assert apart.value == pytest.approx(1.0, rel=1e-9)
    assert apart.low < 0.95 and apart.high > 1.05


def test_a_loss_that_one_law_never_reaches():
    a, b = line(900.0, 0.16, noise=1e-4, E=1.5), line(900.0, 0.16, noise=1e-4, seed=1, E=1.6)
    below = gain(a, b, loss=1.55)
    assert below.value == np.inf == below.high
    assert below.unreached == 1.0 and below.undefined == 0.0
    assert gain(a, b, loss=1.8).unreached == 0.0
    with pytest.raises(UserError, match=r"never reaches a loss of 1\.55"):
        gain(b, a, loss=1.55)


def test_a_known_crossing():
    """A1 C^-a1 = A2 C^-a2 at C = (A1 / A2)^(1 / (a1 - a2))."""
    a, b = line(40.0, 0.07), line(160.0, 0.10)
    at = (40.0 / 160.0) ** (1 / (0.07 - 0.10))
    found = crossing(a, b, between=(1e17, 1e22))
    assert found.budget == pytest.approx(at, rel=1e-6)
    assert found.better == "a" and found.times == 1 and found.without == 0.0
    assert crossing(b, a, between=(1e17, 1e22)).better == "b"
    assert crossing(b, a, between=(1e17, 1e22)).budget == pytest.approx(at, rel=1e-6)


def test_curves_that_do_not_cross():
    found = crossing(line(40.0, 0.07), line(41.0, 0.07), between=(1e17, 1e22))
    assert found.budget == np.inf == found.low == found.high
    assert found.better == "a" and found.times == 0 and found.without == 1.0


@pytest.mark.slow
def test_the_interval_of_a_crossing_holds_it_about_as_often_as_it_says():
    at, held = (40.0 / 160.0) ** (1 / (0.07 - 0.10)), 0
    for seed in range(20):
        a, b = line(40.0, 0.07, 0.005, seed), line(160.0, 0.10, 0.005, seed + 1000)
        found = crossing(a, b, between=(1e17, 1e23))
        held += found.low <= at <= found.high
    assert held >= 16


def test_an_interval_is_open_where_resamples_do_not_cross():
    """Nearly parallel curves, which truly cross at 2.9e20: some resamples do so beyond 1e22."""
    at = (45.0 / 40.0) ** (1 / (0.0725 - 0.07))
    a, b = line(40.0, 0.07, 0.01, 0), line(45.0, 0.0725, 0.01, 10)
    found = crossing(a, b, between=(1e18, 1e22))
    assert 0.025 < found.without < 1 and found.high == np.inf
    assert 1e18 < found.low < at


def test_two_crossings_are_counted():
    """A steep law without a floor against one with: lower, then higher, then lower again."""
    a, b = line(40.0, 0.07), line(900.0, 0.16, E=1.0)
    found = crossing(a, b, between=(1e14, 1e30))
    grid_ = np.geomspace(1e14, 1e30, 100_001)
    signs = np.signbit(40.0 * grid_**-0.07 - 1.0 - 900.0 * grid_**-0.16)
    changes = grid_[1:][np.diff(signs)]
    assert found.times == len(changes) == 2
    assert found.budget == pytest.approx(changes[0], rel=1e-3)
    assert found.better == "a"


def test_what_cannot_be_compared():
    a, b = line(40.0, 0.07), line(41.0, 0.07)
    with pytest.raises(UserError, match="one target"):
        gain(a, b)
    with pytest.raises(UserError, match="one target"):
        gain(a, b, loss=2.0, budget=1e20)
    with pytest.raises(UserError, match=r"loss=-1\.0: give one finite and positive"):
        gain(a, b, loss=-1.0)
    with pytest.raises(UserError, match="level=95"):
        gain(a, b, budget=1e20, level=95)
    with pytest.raises(UserError, match="the lower one first"):
        crossing(a, b, between=(1e22, 1e17))
    runs = a.points.rows
    fewer = fit(laws.power_law_no_offset, runs, bootstrap=10)
    with pytest.raises(UserError, match="the same bootstrap="):
        gain(a, fewer, budget=1e20)
    other_seed = fit(laws.power_law_no_offset, runs, bootstrap=200, seed=1)
    with pytest.raises(UserError, match="the same seed="):
        gain(a, other_seed, budget=1e20)
    by_tokens = fit(laws.power_law_no_offset, runs.assign(tokens=1.0 * runs.flops_6nd), x="tokens")
    with pytest.raises(UserError, match="'flops_6nd' and power_law_no_offset of 'tokens'"):
        gain(a, by_tokens, budget=1e20)
    in_bits = fit(laws.power_law_no_offset, runs.assign(bits=runs["loss"]), loss="bits")
    with pytest.raises(UserError, match="fits of the same loss"):
        gain(a, in_bits, budget=1e20)


def test_a_law_that_the_rows_do_not_determine_has_no_gain():
    runs = grid(TRUTH)
    whole, flat = (fit(laws.chinchilla, t) for t in (runs, runs.assign(tokens=1e10)))
    with pytest.raises(UserError, match="no compute optimum"):
        gain(whole, flat, budget=1e21)


def test_an_allocation_by_search_serves_as_well():
    a, b = (fit(laws.chinchilla, grid(truth)) for truth in (TRUTH, SIXFOLD))
    searched = dataclasses.replace(b, law=dataclasses.replace(b.law, allocation=None))
    assert gain(a, searched, budget=1e22).value == pytest.approx(6.0, rel=1e-5)
