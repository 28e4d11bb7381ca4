"""Laws ranked on the same rows: likelihood, held-out and rolled errors, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from analysis.fitting.fit import fit
from analysis.fitting.prediction.roll import groups
from analysis.inference.compare import aicc, averaged, compare, log_likelihood
from scaling import laws
from scaling.common.errors import UserError

TRUTH = {"E": 1.5, "A": 900.0, "alpha": 0.16}
NO_FLOOR = {"A": 40.0, "alpha": 0.07}


def table(law: laws.Law, truth: dict[str, float], noise: float, seed: int) -> pd.DataFrame:
    """24 budgets over five decades."""
    flops = np.geomspace(1e17, 1e22, 24)
    loss = law.predict(truth, x=flops)
    loss = loss * np.exp(np.random.default_rng(seed).normal(0, noise, len(flops)))
    return pd.DataFrame({"flops_6nd": flops, "loss": loss})


@pytest.fixture
def runs() -> pd.DataFrame:
    return table(laws.power_law, TRUTH, 0.003, 0)


def test_squared_errors_are_a_gaussian(runs: pd.DataFrame):
    weights = np.arange(24) % 3 + 1.0
    result = fit(laws.power_law, runs, objective="log_squared", weights=weights)
    r, n = result.residuals, 24
    scale = math.sqrt(np.sum(weights * r**2) / n)
    density = stats.norm(0, scale / np.sqrt(weights)).logpdf(r).sum()
    assert log_likelihood(result) == pytest.approx(density, rel=1e-9)
    k = 4  # E, A, alpha and the scale
    assert aicc(result) == pytest.approx(-2 * density + 2 * k + 2 * k * (k + 1) / (n - k - 1))


def test_absolute_errors_are_a_laplace(runs: pd.DataFrame):
    result = fit(laws.power_law, runs, objective="log_absolute")
    scale = np.mean(np.abs(result.residuals))
    density = stats.laplace(0, scale).logpdf(result.residuals).sum()
    # rows on the curve, where absolute residuals are a Huber of width 1e-8: parts in 1e-6 of them
    assert log_likelihood(result) == pytest.approx(density, rel=1e-6)


@pytest.mark.parametrize("delta", [3e-4, 1e-3, 3e-3, 1e-2])
def test_huber_has_its_own_density(runs: pd.DataFrame, delta: float):
    """The integral by quadrature, the scale by a fine grid."""
    result = fit(laws.power_law, runs, delta=delta)

    def penalty(r: np.ndarray) -> np.ndarray:
        size = np.abs(r)
        return np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))

    def value(tau: float) -> float:
        line = np.linspace(0, delta + 60 * tau / delta, 8_001)
        mass = 2 * integrate.simpson(np.exp(-penalty(line) / tau), x=line)
        return -24 * math.log(mass) - float(penalty(result.residuals).sum()) / tau

    start = float(penalty(result.residuals).mean())
    best = max(value(tau) for tau in start * np.linspace(1, 2, 41))
    assert log_likelihood(result) == pytest.approx(best, abs=2e-3)  # the grid's own error
    assert log_likelihood(result) >= best


def test_aicc_finds_the_law_that_made_the_data():
    """Without a true floor the law without one, except for draws in which noise looks like one
    (about one in sixteen: half of chi^2_1 above 2.4); with one, always the law with one."""
    spare = 0
    for seed in range(10):
        runs = table(laws.power_law_no_offset, NO_FLOOR, 0.003, seed)
        ranked = compare([fit(law, runs) for law in (laws.power_law, laws.power_law_no_offset)])
        spare += ranked["law"][0] == "power_law_no_offset"
        runs = table(laws.power_law, TRUTH, 0.003, seed)
        ranked = compare([fit(law, runs) for law in (laws.power_law_no_offset, laws.power_law)])
        assert ranked["law"][0] == "power_law"
    assert spare >= 7


def test_a_rung_whose_rows_judge_no_law_has_no_choice(runs: pd.DataFrame):
    """AICc of three constants needs six rows: five can be predicted from, not chosen by."""
    result = fit(laws.power_law, runs[::3], bootstrap=20)
    assert [each.fitted for each in result.rolled] == [5, 6, 7]
    assert [each.fitted for each in averaged([result]).rolled] == [6, 7]


def test_an_average_weighs_by_aicc_and_rolls_the_choice(runs: pd.DataFrame):
    """Each origin is of the law that its own rows choose, as it would have been chosen then."""
    known = (laws.power_law, laws.power_law_no_offset)
    results = [fit(law, runs, bootstrap=40) for law in known]
    mixed, far = averaged(results), 1e24
    share = np.exp(
        [-aicc(each) / 2 for each in results] - np.max([-aicc(each) / 2 for each in results])
    )
    logs = np.log([each.law.predict(each.estimates, x=far) for each in results])
    weights = share / share.sum()
    said = mixed.predict(x=far)
    assert np.log(said.value) - said.spread.drift == pytest.approx(weights @ logs)
    assert said.spread.residual_freedom == round(weights @ [len(runs) - 3, len(runs) - 2])
    apart = np.sqrt(weights @ (logs - weights @ logs) ** 2)
    assert said.spread.constants > apart > 0
    group, chosen = groups(results[0].points), []
    for origin in mixed.rolled:
        below, later = runs[group < origin.rung], runs[group >= origin.rung]
        best = compare([fit(law, below) for law in known])["law"][0]
        alone = fit(best, below).predict(x=later["flops_6nd"]).value
        assert origin.log_errors == pytest.approx(np.log(later["loss"] / alone), abs=1e-5)
        chosen.append(best)
    assert len(set(chosen)) == 2
    with pytest.raises(UserError, match="differ in their variables"):
        averaged([*results, fit(laws.hestness_size, runs, columns={"samples": "flops_6nd"})])
    with pytest.raises(UserError, match="no law to average"):
        averaged([fit(law, runs) for law in known])


def test_ranked_by_rows_held_out(runs: pd.DataFrame):
    held = runs["flops_6nd"] > 1e21
    results = [
        fit(law, runs, holdout="flops_6nd>1e21")
        for law in (laws.power_law_no_offset, laws.power_law)
    ]
    ranked = compare(results)
    assert list(ranked["law"]) == ["power_law", "power_law_no_offset"]
    assert list(ranked["rank"]) == [1, 2]
    assert ranked["rolled"].isna().all() and list(ranked["parameters"]) == [3, 2]
    alone = fit(laws.power_law, runs[~held])
    errors = np.log(runs["loss"][held] / alone.predict(x=runs["flops_6nd"][held]).value)
    assert ranked["held_out"][0] == pytest.approx(math.sqrt(np.mean(errors**2)), rel=1e-6)


def test_ranked_by_rolling_over_a_column(runs: pd.DataFrame):
    below = (1e20, 1e21)
    weights = np.linspace(1, 2, 24)
    results = [
        fit(law, runs, weights=weights, objective="log_squared")
        for law in (laws.power_law, laws.power_law_no_offset)
    ]
    ranked = compare(results, over="flops_6nd", below=below)
    squares = []
    for budget in below:
        low = (runs["flops_6nd"] < budget).to_numpy()
        step = fit(laws.power_law, runs[low], weights=weights[low], objective="log_squared")
        above = runs[~low]
        errors = np.log(above["loss"] / step.predict(x=above["flops_6nd"]).value)
        squares.append(np.mean(errors**2))
    assert ranked["law"][0] == "power_law"
    assert ranked["rolled"][0] == pytest.approx(math.sqrt(np.mean(squares)), rel=1e-6)
    assert ranked["rolled"][1] > 3 * ranked["rolled"][0]


def test_a_fit_without_a_likelihood_comes_last(runs: pd.DataFrame):
    few = runs.iloc[::6]
    ranked = compare([fit(laws.power_law, few), fit(laws.power_law_no_offset, few)])
    assert ranked["aicc"].isna().all(), "4 rows are too few for the correction with 3 or 4 numbers"
    flat = runs.assign(params_total=3e8, tokens=runs["flops_6nd"] / 18e8)
    ranked = compare([fit(laws.chinchilla, flat), fit(laws.power_law, flat)])
    assert list(ranked["status"]) == ["converged", "not identified"]
    assert np.isnan(ranked["aicc"][1]) and ranked["aicc_above_best"][0] == 0


def test_laws_with_relations_are_told_apart(runs: pd.DataFrame):
    held = laws.power_law.given(E=1.5)
    ranked = compare([fit(laws.power_law, runs), fit(held, runs)])
    assert set(ranked["law"]) == {"power_law", "power_law, E = 1.5"}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda t: fit(laws.power_law_no_offset, t.iloc[1:]), "fitted to different rows"),
        (lambda t: fit(laws.power_law_no_offset, t.assign(loss=t.loss + 1)), "different rows"),
        (lambda t: fit(laws.power_law_no_offset, t, drop_highest=1), "different rows"),
        (lambda t: fit(laws.power_law_no_offset, t, delta=0.1), "same objective and delta"),
        (lambda t: fit(laws.power_law_no_offset, t, weights=np.full(24, 2.0)), "weigh their rows"),
    ],
)
def test_fits_that_cannot_be_ranked(runs: pd.DataFrame, other, message: str):
    with pytest.raises(UserError, match=message):
        compare([fit(laws.power_law, runs), other(runs)])


def test_rows_held_out_by_one_alone(runs: pd.DataFrame):
    whole = fit(laws.power_law, runs[runs["flops_6nd"] <= 1e21])
    kept = fit(laws.power_law_no_offset, runs, holdout="flops_6nd>1e21")
    with pytest.raises(UserError, match="hold out different rows"):
        compare([whole, kept])


def test_what_cannot_be_compared(runs: pd.DataFrame):
    two = [fit(law, runs) for law in (laws.power_law, laws.power_law_no_offset)]
    with pytest.raises(UserError, match="two fits or more"):
        compare(two[:1])
    with pytest.raises(UserError, match="go together"):
        compare(two, over="flops_6nd")
    with pytest.raises(UserError, match=r"power_law below flops = 1e\+20: .*did you mean"):
        compare(two, over="flops", below=[1e20])
    with pytest.raises(UserError, match="3 parameters and the table 2 different row"):
        compare(two, over="flops_6nd", below=[2e17])
    with pytest.raises(UserError, match="no row is held out"):
        compare(two, over="flops_6nd", below=[1e30])
