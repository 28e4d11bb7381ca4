"""Kaplan's and MiniCPM's laws recovered from data sampled from them, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling.laws._law import Law
from scaling.laws.kaplan import kaplan, kaplan_params, kaplan_steps
from scaling.laws.minicpm import minicpm

NOISE = 0.003
GRID = {  # 7 by 6 runs, as a small lab would have them
    "params": np.repeat(np.geomspace(1e6, 1e9, 7), 6),
    "tokens": np.tile(np.geomspace(2e7, 2e10, 6), 7),
    "steps_min": np.tile(np.geomspace(2e3, 2e5, 6), 7),
}
CASES = [
    (kaplan_params, {"N_c": 8.8e13, "alpha_N": 0.076}),
    (kaplan, {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}),
    (kaplan_steps, {"N_c": 6e13, "alpha_N": 0.077, "S_c": 2.1e3, "alpha_S": 0.76}),
    (minicpm, {"L0": 0.25, "C_N": 60.0, "C_D": 40.0, "alpha": 0.29, "beta": 0.23}),
]


@pytest.mark.parametrize(("law", "truth"), CASES, ids=lambda each: getattr(each, "name", ""))
def test_recovered(law: Law, truth: dict[str, float]):
    columns = {name: GRID[name] for name in law.variables}
    noise = np.random.default_rng(0).normal(0, NOISE, 42)
    table = pd.DataFrame(columns).assign(loss=law.predict(truth, **columns) * np.exp(noise))
    result = fit(law, table, columns={name: name for name in columns}, bootstrap=60)
    assert result.status is FitStatus.CONVERGED
    for name, value in truth.items():
        # 60 resamples: 0.99 is their range, so four laws are not failed by one interval in twenty
        low, high = result.interval(name, 0.99)
        assert low < value < high, name
        assert high / low < 4
    beyond = {name: column.max() * 30 for name, column in columns.items()}
    predicted = result.predict(0.99, **beyond)
    low, high = predicted.constants
    assert low < law.predict(truth, **beyond) < high
    assert high / low < 1.08
    assert predicted.low < low < high < predicted.high  # which adds what the law may miss
