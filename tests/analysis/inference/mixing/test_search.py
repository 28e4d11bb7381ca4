"""Searches on tables of a known law: they pay for what they see, and the costs are told apart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.inference.mixing.regressions import proxies_of
from analysis.inference.mixing.search import (
    SEARCHES,
    Trials,
    cost_to,
    improvement,
    play,
    process,
    regret,
    trials_of,
)
from scaling.common.errors import UserError

T = np.array([-2.0, 0.3, 0.5, 1.0])


def trials(likeness: float, runs: int = 40, ratio: float = 0.02) -> Trials:
    """Mixtures whose small losses are so like the large ones, from 0 to 1."""
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(4), runs)
    large = np.log(1 + np.exp(weights @ T))
    other = np.log(1 + np.exp(weights @ -T))
    return Trials(weights, likeness * large + (1 - likeness) * other, large, ratio)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_ends_at_the_best_and_pays_for_each_run_once(name: str) -> None:
    found = trials(0.7)
    bought = Counter(SEARCHES[name](found, np.random.default_rng(0)))
    assert set(bought.values()) == {1}
    assert {k for is_large, k in bought if is_large} == set(range(40))
    steps = play(found, SEARCHES[name], seed=0)
    assert regret(found, steps, steps[-1][0]) == 0
    assert np.isnan(regret(found, steps, 0.5))
    assert cost_to(found, steps, 0.0) == steps[-1][0]
    assert cost_to(found, steps, 1.0) == steps[0][0]


def test_small_runs_help_where_they_are_like_the_large_ones_and_only_there() -> None:
    cost = {
        (name, likeness): np.mean(
            [play(trials(likeness), SEARCHES[name], seed, 0.001)[-1][0] for seed in range(3)]
        )
        for name in SEARCHES
        for likeness in (0.0, 1.0)
    }
    assert cost["proxies", 1.0] == pytest.approx(40 * 0.02 + 1)
    assert cost["proxies", 0.0] > 30  # the last of them is the best
    assert cost["single", 1.0] == cost["single", 0.0] < cost["random", 1.0]
    assert cost["multi", 1.0] < 8
    assert cost["multi", 0.0] < 15  # rho is negative then


def test_the_process_passes_through_what_it_has_seen() -> None:
    found = trials(1.0)
    seen = list(range(25))
    mean, deviation = process(found.distances, seen, found.large[seen])
    np.testing.assert_allclose(mean[seen], found.large[seen], atol=0.01)
    assert deviation[seen].max() < deviation[25:].mean()
    off = (mean[25:] - found.large[25:]) / deviation[25:]
    assert 0.3 < np.sqrt(np.mean(off**2)) < 2


def test_expected_improvement() -> None:
    gain = improvement(np.array([0.0, -5.0]), np.array([1.0, 0.01]), 0.0)
    np.testing.assert_allclose(gain, [1 / np.sqrt(2 * np.pi), 5.0])


def table(params: float, shift: float) -> pd.DataFrame:
    found = trials(1.0, 20)
    named = {f"weights_by_source.{k}": found.weights[:, k] for k in range(4)}
    return pd.DataFrame(
        {"params_total": params, **named, "losses_by_source.0": np.exp(found.large) + shift}
    )


def test_mixtures_are_matched_by_their_weights() -> None:
    small, large = (proxies_of(table(*each)) for each in ((1e6, 1.0), (1e7, 0.0)))
    shuffled = table(1e7, 0.0).sample(frac=1, random_state=0)
    shares = large.target(())
    one, other = (trials_of(small, proxies_of(t), shares, 0.1) for t in (table(1e7, 0.0), shuffled))
    assert len(one.small) == len(other.small) == 20
    assert sorted(zip(one.small, one.large)) == sorted(zip(other.small, other.large))  # noqa: B905
    with pytest.raises(UserError, match="0 mixtures have a small and a large run"):
        trials_of(small, proxies_of(table(1e7, 0.0).iloc[:, [0, 2, 1, 3, 4, 5]].set_axis(
            table(1e7, 0.0).columns, axis=1)), shares, 0.1)  # fmt: skip


def test_the_command_prints_costs_and_regrets(tmp_path, capsys) -> None:
    file = tmp_path / "runs.csv"
    pd.concat([table(1e6, 1.0), table(1e7, 0.0)]).to_csv(file, index=False)
    sizes = ["--small", "params_total<5e6", "--large", "params_total>5e6"]
    assert main(["mix-search", str(file), *sizes, "--seeds", "2"]) == 0
    said = capsys.readouterr().out
    assert "20 mixtures at two sizes; a small run costs 0.1 of a large one" in said
    assert "rank correlation of 1" in said
    assert "\nproxies  " in said
