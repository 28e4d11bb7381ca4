"""Simulated studies say what real fits say, and misses of a planted truth are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anybody import TRUTH

from analysis.fitting.fit import fit
from analysis.inference.designs.simulate import Ladder, simulate
from analysis.inference.designs.truths import KINDS, Truths, published, truths
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws import Published

SIZES, RATIOS = np.geomspace(1e7, 1e8, 5), (8, 20, 50)
PARAMS = np.repeat(SIZES, len(RATIOS))
RUNS = {"params": PARAMS, "tokens": PARAMS * np.tile(RATIOS, len(SIZES))}
LADDER = Ladder(laws.chinchilla, RUNS, np.repeat(np.arange(5), len(RATIOS)))
AIM = {"params": np.array([3e8]), "tokens": np.array([6e9])}
SOURCE = published(
    laws.chinchilla, Published("ours", TRUTH, laws.chinchilla.published[0].convention, "", "")
)


def drawn(kind: str, count: int, noise: float = 0.003) -> Truths:
    return truths(kind, [SOURCE], RUNS, AIM, noise, count)


def test_a_simulated_study_has_the_interval_of_a_real_fit():
    found = drawn("true", 3)
    outcome = simulate(LADDER, AIM, found, bootstrap=60)
    logs = found.runs + found.runs_sd * np.random.default_rng([0, 1]).standard_normal((3, 15))
    for study in range(3):
        table = pd.DataFrame({**RUNS, "loss": np.exp(logs[study]), "rung": LADDER.rung})
        real = fit(
            laws.chinchilla, table, params="params", bootstrap=60, resampling="dirichlet"
        ).predict_at(AIM)
        assert outcome.width[study] == pytest.approx(np.log(real.high / real.low) / 2, rel=0.03)


def test_intervals_hold_under_the_law_and_not_under_a_cliff():
    found = drawn("true", 12)
    assert simulate(LADDER, AIM, found, bootstrap=30).coverage >= 0.9
    cliff = replace(found, targets=found.targets + 1.0)
    assert simulate(LADDER, AIM, cliff, bootstrap=30).coverage == 0


def test_each_kind_is_what_it_says():
    flat = drawn("true", 8)
    curves = drawn("bent", 400).runs - drawn("true", 400).runs.mean(axis=0)
    assert np.std(curves, axis=0)[[0, -1]].min() > np.std(curves, axis=0)[6:9].max() / 3
    noisy = drawn("growing noise", 8)
    assert noisy.runs_sd[0, 0] == pytest.approx(3 * noisy.targets_sd[0, 0])
    assert flat.runs_sd.min() == flat.runs_sd.max() == 0.003
    assert {drawn(kind, 2).kind for kind in KINDS} == set(KINDS)


def test_mistakes_are_one_line():
    with pytest.raises(UserError, match="must lie above 0"):
        drawn("true", 2, noise=0.0)
    kaplan = published(laws.kaplan_flops, laws.kaplan_flops.published[0])
    with pytest.raises(UserError, match="it lacks"):
        truths("true", [kaplan], RUNS, AIM, 0.003, 2)
    few = {name: values[:5] for name, values in RUNS.items()}
    with pytest.raises(UserError, match="at least 6"):
        Ladder(laws.chinchilla, few)
    tied = {"params": PARAMS, "tokens": 20 * PARAMS}
    with pytest.raises(UserError, match="cannot fit law 'chinchilla'"):
        simulate(Ladder(laws.chinchilla, tied), AIM, truths("true", [SOURCE], tied, AIM, 0.003, 2))
