"""Coverage of the interval of a held-out run, over simulated studies.

Slow; prints the cover and widths that `analysis/inference/forecast.py` quotes. The bent kind has
curvature in log compute, penalties for few tokens per parameter, and each larger size tuned a
little worse.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.inference.forecast import forecast, roll
from scaling import laws

TRUTH = {"E": 0.2, "A": 25.0, "B": 52.0, "alpha": 0.36, "beta": 0.28}
LADDER = (
    (20_000, (25, 50, 100, 200)),
    (37_024, (12.5, 25, 50, 100)),
    (73_968, (12.5, 25, 50, 100)),
    (123_200, (12.5, 25, 50)),
    (258_528, (12.5, 25)),
)
HELD_OUT = (443_008, 15)
HELD_RUNG = 99


def simulate(kind: str, rng: np.random.Generator) -> pd.DataFrame:
    cells = [(n, n * m, rung) for rung, (n, ms) in enumerate(LADDER) for m in ms]
    cells.append((HELD_OUT[0], HELD_OUT[0] * HELD_OUT[1], HELD_RUNG))
    table = pd.DataFrame(cells, columns=["params_total", "tokens", "rung"]).astype(float)
    table["flops_6nd"] = 6 * table["params_total"] * table["tokens"]
    table["run_id"] = [f"run{at}" for at in range(len(table))]
    truth = laws.chinchilla.predict(TRUTH, params=table["params_total"], tokens=table["tokens"])
    log_loss = np.log(truth) + rng.normal(0, 0.004, len(table))
    if kind == "bent":
        compute = np.log(table["flops_6nd"])
        ratio = np.log(table["tokens"] / table["params_total"] / 25)
        log_loss = log_loss + rng.normal(0, 0.003) * (compute - compute.mean()) ** 2
        log_loss = log_loss - rng.normal(0, 0.006) * ratio * np.abs(ratio)
        tuning = {rung: abs(rng.normal(0, 0.006)) for rung in table["rung"].unique()}
        log_loss = log_loss + table["rung"].map(tuning)
    table["loss"] = np.exp(log_loss)
    return table


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["true", "bent"])
def test_cover(kind: str):
    rng = np.random.default_rng(7)
    full, alone, widths = [], [], []
    for seed in range(150):
        table = simulate(kind, rng)
        runs, target = table[table["rung"] < HELD_RUNG], table[table["rung"] == HELD_RUNG]
        result = fit(laws.chinchilla, runs, bootstrap=200, resampling="dirichlet", seed=seed)
        rolled = roll(laws.chinchilla, runs, "loss", "params_total", "tokens")
        (said,) = forecast(result, rolled, target, "params_total", "tokens")
        measured = float(target["loss"].iloc[0])
        full.append(said.low <= measured <= said.high)
        alone.append(said.bootstrap_low <= measured <= said.bootstrap_high)
        widths.append(50 * (said.high - said.low) / said.loss)
    print(
        f"{kind}: full interval covers {np.mean(full):.1%}, bootstrap alone {np.mean(alone):.1%}, "
        f"median half-width {np.median(widths):.2f} %"
    )
    assert 0.90 <= np.mean(full) <= 1.0
    assert np.mean(alone) < np.mean(full)
