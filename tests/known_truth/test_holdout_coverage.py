"""Coverage of the interval of a new run, over simulated ladders of known truth.

Slow; prints coverage and widths by kind of truth and by rungs that can be rolled. `true` has the
law and even noise. `bent` has curvature in log compute, penalties for few tokens per parameter, and
larger sizes tuned a little worse. `broken` has another exponent from a budget inside the ladder on.
`heteroscedastic` has noise that falls fourfold up the ladder.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from scaling import laws

TRUTH = {"E": 0.2, "A": 25.0, "B": 52.0, "alpha": 0.36, "beta": 0.28}
LADDER = (
    (20_000, (25, 50, 100, 200)),
    (37_024, (12.5, 25, 50, 100)),
    (73_968, (12.5, 25, 50, 100)),
    (123_200, (12.5, 25, 50)),
    (258_528, (12.5, 25)),
)
SHORT = ((20_000, (25, 50)), (60_000, (25, 50)), (180_000, (12.5, 25, 50)))  # no rung can be rolled
HELD_OUT, HELD_RUNG = (443_008, 15), 99
STUDIES = 100


def simulate(kind: str, ladder, rng: np.random.Generator) -> pd.DataFrame:
    cells = [(n, n * m, rung) for rung, (n, ms) in enumerate(ladder) for m in ms]
    cells.append((HELD_OUT[0], HELD_OUT[0] * HELD_OUT[1], HELD_RUNG))
    table = pd.DataFrame(cells, columns=["params_total", "tokens", "rung"]).astype(float)
    compute = np.log(table["params_total"] * table["tokens"])
    away = compute - compute.mean()
    truth = laws.chinchilla.predict(TRUTH, params=table["params_total"], tokens=table["tokens"])
    sd = 0.004 * np.exp(-away / away.max() * np.log(2)) if kind == "heteroscedastic" else 0.004
    log_loss = np.log(truth) + rng.normal(0, 1, len(table)) * sd
    if kind == "bent":
        ratio = np.log(table["tokens"] / table["params_total"] / 25)
        log_loss = log_loss + rng.normal(0, 0.003) * away**2
        log_loss = log_loss - rng.normal(0, 0.006) * ratio * np.abs(ratio)
        tuning = {rung: abs(rng.normal(0, 0.006)) for rung in table["rung"].unique()}
        log_loss = log_loss + table["rung"].map(tuning)
    if kind == "broken":
        log_loss = log_loss + rng.normal(0, 0.01) * np.maximum(0, away - rng.uniform(-1, 0.5))
    table["loss"] = np.exp(log_loss)
    return table


@pytest.mark.slow
@pytest.mark.parametrize("ladder", [LADDER, SHORT], ids=["rolled", "none rolled"])
@pytest.mark.parametrize("kind", ["true", "bent", "broken", "heteroscedastic"])
def test_cover(kind: str, ladder):
    rng = np.random.default_rng(7)
    full, alone, widths, rolled = [], [], [], []
    for seed in range(STUDIES):
        table = simulate(kind, ladder, rng)
        result = fit(
            laws.chinchilla, table, holdout="rung==99", bootstrap=200, resampling="dirichlet",
            seed=seed,
        )  # fmt: skip
        held = result.held_out
        low, high = held.prediction.constants
        full.append(held.coverage)
        alone.append(float(low[0] <= held.measured[0] <= high[0]))
        widths.append(50 * float(np.log(held.high[0] / held.low[0])))
        rolled.append(len(result.rolled))
    print(
        f"{kind}: the interval covers {np.mean(full):.0%} ({np.mean(rolled):.1f} rungs rolled), "
        f"constants alone {np.mean(alone):.0%}, median half-width {np.median(widths):.2f} %"
    )
    assert np.mean(full) >= 0.90 and np.mean(alone) < np.mean(full)
    assert (np.mean(rolled) > 0) == (ladder is LADDER)
