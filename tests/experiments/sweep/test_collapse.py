"""Curves that leave the band of their siblings are named, and others are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from paths import DATA, needs_tables

from experiments.sweep.collapse import Curve, outside

SHARE = np.linspace(0.01, 1, 100)


def curve(
    size: float, rate: float = 0.4, upto: float = 1.0, noise: float = 0.003, seed: int = 0
) -> Curve:
    """A power law of the share over a floor, with noise."""
    rng = np.random.default_rng([seed, int(1000 * size)])
    loss = size * (0.5 + SHARE**-rate) * np.exp(rng.normal(0, noise, len(SHARE)))
    return Curve(SHARE[upto >= SHARE], loss[upto >= SHARE])


def test_sizes_that_collapse_raise_no_alarm():
    siblings = [curve(size) for size in (1.0, 1.3, 1.7, 2.2)]
    for seed in range(20):
        assert not outside(curve(2.9, upto=0.6, seed=seed), siblings)


def test_a_rate_that_stalls_is_named():
    siblings = [curve(size) for size in (1.0, 1.3, 1.7, 2.2)]
    said = outside(curve(2.9, rate=0.25, upto=0.6), siblings)
    assert "4 siblings" in said and "look at its settings" in said


def test_early_runs_and_few_siblings_are_left_alone():
    siblings = [curve(size) for size in (1.0, 1.3, 1.7)]
    assert not outside(curve(2.9, rate=0.1, upto=0.05), siblings)
    assert not outside(curve(2.9, rate=0.1, upto=0.6), siblings[:2])
    assert not outside(Curve(np.array([]), np.array([])), siblings)


@needs_tables("supercollapse")
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_on_released_curves_a_constant_rate_is_named_and_siblings_are_not(share: float):
    """Regression by MLPs: 8 sizes with a decayed rate, and one with a constant rate among them."""
    runs = pd.read_csv(DATA / "supercollapse" / "tidy.csv")
    rows = dict(tuple(pd.read_csv(DATA / "supercollapse" / "tidy_curves.csv.gz").groupby("run_id")))

    def released(name: str, upto: float = 1.0) -> Curve:
        done = rows[name]["compute"].to_numpy() / rows[name]["compute"].max()
        return Curve(done[done <= upto], rows[name]["test_loss"].to_numpy()[done <= upto])

    def names(log: str) -> list[str]:
        return runs[runs["log"] == log].drop_duplicates("final_compute")["run_id"].tolist()

    decayed, constant = names("mlp"), names("mlp_const")
    siblings = [released(name) for name in decayed]
    alarms = [
        bool(outside(released(name, share), [*siblings[:at], *siblings[at + 1 :]]))
        for at, name in enumerate(decayed)
    ]
    assert sum(alarms) <= 1
    assert outside(released(constant[0], share), siblings)
