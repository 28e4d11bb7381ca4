"""A table of runs with unusual column names, as CSV, from a known law."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from scaling import laws

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
COLUMNS = ("--loss", "nats", "--params", "n", "--tokens", "d")


def write_table(folder: Path) -> str:
    """Forty runs of the Chinchilla law with noise of 0.2 %; the path of the file."""
    rng = np.random.default_rng(0)
    size, data = 10 ** rng.uniform(7, 9.5, 40), 10 ** rng.uniform(9, 11, 40)
    loss = laws.chinchilla.predict(TRUTH, params=size, tokens=data) * np.exp(
        rng.normal(0, 0.002, 40)
    )
    table = pd.DataFrame({"n": size, "d": data, "c": 6 * size * data, "nats": loss, "run": "a"})
    table.to_csv(folder / "runs.csv", index=False)
    return str(folder / "runs.csv")


def ladder(bend: float = 0.0, noise: float = 0.002) -> pd.DataFrame:
    """Six budgets of five sizes; `bend` lifts the log loss by its square of e-folds of compute."""
    size, data = [], []
    for budget in np.geomspace(1e18, 1e21, 6):
        best = np.sqrt(budget / 120)
        size += list(best * np.geomspace(0.4, 2.5, 5))
        data += list(budget / 6 / (best * np.geomspace(0.4, 2.5, 5)))
    size, data = np.array(size), np.array(data)
    away = np.log(6 * size * data / 1e18)
    error = np.random.default_rng(0).normal(0, noise, len(size)) + bend * away**2
    loss = laws.chinchilla.predict(TRUTH, params=size, tokens=data) * np.exp(error)
    return pd.DataFrame({"params_total": size, "tokens": data, "loss": loss})
