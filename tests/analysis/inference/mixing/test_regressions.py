"""Mixtures of a known law: its minimum, the errors on unseen runs, and the intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.inference.mixing.regressions import (
    MixingLaw,
    Proxies,
    best_mixture,
    compared_of,
    cross_validated,
    fit_law,
    proxies_of,
)
from scaling.common.errors import UserError

T = np.array([[-3.0, 0.2, 0.4], [0.3, -2.0, 0.1], [0.5, 0.3, -1.0]])
E = np.array([1.0, 0.8, 1.5])


def losses(weights: np.ndarray) -> np.ndarray:
    return np.asarray(E + np.exp(weights @ T.T))


def table(noise: float, runs: int = 40, seed: int = 0) -> pd.DataFrame:
    """Runs on three texts whose losses follow the law, with their names and seeds."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(3), runs)
    found = losses(weights) * np.exp(rng.normal(0, noise, (runs, 3)))
    named = {f"weights_by_source.{name}": weights[:, k] for k, name in enumerate("abc")}
    named |= {f"losses_by_source.{name}": found[:, k] for k, name in enumerate("abc")}
    return pd.DataFrame({"seed": range(runs), "label": "proxy", "status": "completed", **named})


def test_the_law_is_found_exactly_and_its_factor_does_not_matter() -> None:
    proxies = proxies_of(table(0.0))
    ones = np.ones(40)
    for k in range(3):
        found = fit_law(proxies.weights, proxies.losses[:, k], ones)
        assert isinstance(found, MixingLaw)
        assert pytest.approx(E[k], rel=1e-5) == found.E
        np.testing.assert_allclose(found.t, T[k], atol=1e-4)


def test_the_best_mixture_is_the_minimum_of_the_known_law() -> None:
    """For the mean of all texts within the interval, which is narrow; for one text at the end."""
    proxies = proxies_of(table(0.002))
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 201)] * 2), -1).reshape(-1, 2)
    grid = grid[grid.sum(axis=1) <= 1]
    every = np.c_[grid, 1 - grid.sum(axis=1)]
    true = every[losses(every).mean(axis=1).argmin()]
    found = best_mixture(proxies, "law", proxies.target(()), 40)
    low, high = found.interval()
    assert (low - 0.005 <= true).all()
    assert (true <= high + 0.005).all()
    assert (high - low).max() < 0.15
    alone = best_mixture(proxies, "law", proxies.target(("a",)), 0)
    assert alone.weights[0] == pytest.approx(proxies.weights[:, 0].max(), abs=1e-3)


def test_ridge_and_trees_find_the_neighbourhood_and_stay_among_the_runs() -> None:
    proxies = proxies_of(table(0.002))
    for name in ("ridge", "trees"):
        found = best_mixture(proxies, name, proxies.target(("a",)), 0).weights
        assert found.sum() == pytest.approx(1)
        assert found[0] > 0.6  # trees are flat over many mixtures, and take the mean of them
        assert (found <= proxies.weights.max(axis=0)).all()


def test_errors_are_those_of_runs_left_out() -> None:
    """Of the law they are the noise; of pure noise there is no rank, whatever the fit in sample."""
    proxies = proxies_of(table(0.01))
    shares = proxies.target(("a",))
    law = cross_validated(proxies, "law", shares)
    assert 0.005 < law.error < 0.012  # mean |error| of a deviation of 0.01 is 0.008
    assert law.low > 0.9
    assert cross_validated(proxies, "ridge", shares).error > 2 * law.error
    shuffled = np.random.default_rng(1).permutation(proxies.losses)
    null = Proxies(proxies.texts, proxies.weights, proxies.targets, shuffled)
    trees = cross_validated(null, "trees", shares)
    assert trees.low < 0 < trees.high


def test_trained_mixtures_are_compared_by_seed() -> None:
    runs = table(0.0)
    luck = np.exp(np.random.default_rng(0).normal(0, 0.05, 4))
    for label, better in (("equal", 1.0), ("best 1", 0.98)):
        extra = table(0.0, runs=4)
        for name in "abc":
            extra[f"losses_by_source.{name}"] = 2.0 * better * luck
        runs = pd.concat([runs, extra.assign(label=label)])
    proxies = proxies_of(runs)
    assert len(proxies.weights) == 40
    best, equal = compared_of(runs, proxies, proxies.target(()))
    assert (best.label, equal.label) == ("best 1", "equal")
    value, low, high = equal.above(best)
    assert value == pytest.approx(-np.log(0.98))
    assert low == pytest.approx(value)
    assert high == pytest.approx(value)  # the luck of a seed is that of both


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights_by_source.a": 2.0}, "must not be negative and add up to 1"),
        ({"losses_by_source.b": [np.nan, *[1.0] * 39]}, "a run has no loss on one of the texts"),
    ],
)
def test_runs_that_cannot_be_regressed_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        proxies_of(table(0.0).assign(**change))


def test_too_few_runs_no_mixtures_and_unknown_targets_are_refused() -> None:
    with pytest.raises(UserError, match=r"5 run\(s\) over 3 texts; .* need 6 or more"):
        proxies_of(table(0.0, runs=5))
    assert cross_validated(proxies_of(table(0.0, runs=6)), "law", np.full(3, 1 / 3)).error < 0.1
    with pytest.raises(UserError, match=r"no columns weights_by_source"):
        proxies_of(pd.DataFrame({"loss": [1.0]}))
    with pytest.raises(UserError, match="--target d: no such text; known: a, b, c"):
        proxies_of(table(0.0)).target(("d",))


def test_the_command_judges_and_compares(tmp_path, capsys) -> None:
    file = tmp_path / "runs.csv"
    equal = table(0.0, runs=2).assign(label="equal")
    pd.concat([table(0.005), equal]).to_csv(file, index=False)
    assert main(["mix", str(file), "--by", "law", "--bootstrap", "5", "--target", "a"]) == 0
    said = capsys.readouterr().out
    assert "40 runs over 3 texts; target: the loss on a" in said
    assert "held-out error, %" in said
    assert "above the best, %" in said
