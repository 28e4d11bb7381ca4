"""Coverage of 95 % intervals by the percentile pairs bootstrap on the 240-point design, 300 sets of
400 resamples: E, alpha, beta and the exponent of N* in C."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from scaling import laws

pytestmark = pytest.mark.slow

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
A_OPT = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
SETS, RESAMPLES = 300, 400


def measured(seed: int) -> pd.DataFrame:
    """24 sizes by 10 token counts, with normal noise of 0.8 % of the loss."""
    params = np.repeat(np.geomspace(5e7, 1e10, 24), 10)
    tokens = np.tile(np.geomspace(1e9, 3e11, 10), 24)
    loss = laws.chinchilla.predict(TRUTH, params=params, tokens=tokens)
    loss = loss * np.exp(np.random.default_rng(seed).normal(0, 0.008, 240))
    return pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss})


def a_opt(result: FitResult) -> tuple[float, float]:
    alpha, beta = (
        result.samples[:, result.law.parameters.index(name)] for name in ("alpha", "beta")
    )
    low, high = percentile_interval(beta / (alpha + beta), 0.95)
    return float(low), float(high)


def test_percentile_intervals_cover():
    """The count of 300 has a standard error of 1.3 %, so 92 to 98 % is 95 % and 2.4 of them."""
    truth = {"E": TRUTH["E"], "alpha": TRUTH["alpha"], "beta": TRUTH["beta"], "a_opt": A_OPT}
    held = dict.fromkeys(truth, 0)
    widths: dict[str, list[float]] = {name: [] for name in truth}
    for seed in range(SETS):
        result = fit(laws.chinchilla, measured(seed), bootstrap=RESAMPLES, seed=seed)
        for name, value in truth.items():
            low, high = a_opt(result) if name == "a_opt" else result.interval(name)
            held[name] += low <= value <= high
            widths[name].append(high - low)
    print(f"\n{SETS} sets of {RESAMPLES} resamples, nominal 95 %")
    for name, count in held.items():
        print(f"{name:6s} covers {count / SETS:6.1%}, median width {np.median(widths[name]):.4f}")
    for name, count in held.items():
        assert 0.92 <= count / SETS <= 0.98, name
