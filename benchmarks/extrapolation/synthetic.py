"""Random ladders of known truth, each asked at ten times its largest compute.

5 to 20 runs over 30 to 300 times of compute, in rungs of one compute, from 10 to 40 tokens per
parameter, with run noise of 0.3 %. The truth is Chinchilla's law with constants about those
published,

    true              itself
    bent              times exp(q u^2),  q ~ N(0, 0.0015),  u in e-folds from the ladder's middle
    broken            times exp(k ln(1 + e^(u - b))),  k ~ N(0, 0.02),  b anywhere up to the target
    heteroscedastic   itself, with noise that falls from 1 % at the least compute to 0.2 %

Half of the ladders have two rungs, so that no rung can be rolled, or seldom; the others 4 to 7.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.extrapolation.families import Family
from scaling import laws

KINDS = ("true", "bent", "broken", "heteroscedastic")
NOISE, BEYOND = 0.003, 10.0
TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
LEAST = 1e17  # FLOPs of the smallest rung


def ladders(count: int, seed: int = 0) -> Iterator[Family]:
    """`count` ladders of each kind, with few rungs and with more."""
    for kind in KINDS:
        for number in range(count):
            rng = np.random.default_rng([seed, KINDS.index(kind), number])
            few = number % 2 == 0
            yield Family(f"{kind} {number}", laws.chinchilla, _ladder(kind, few, rng))


def _ladder(kind: str, few: bool, rng: np.random.Generator) -> pd.DataFrame:
    runs, span = int(rng.integers(5, 21)), np.exp(rng.uniform(np.log(30), np.log(300)))
    rungs = 2 if few else int(rng.integers(4, 8))
    flops = LEAST * span ** np.linspace(0, 1, rungs)[np.sort(np.arange(runs) % rungs)]
    flops = np.append(flops, LEAST * span * BEYOND)
    ratio = np.exp(rng.uniform(np.log(10), np.log(40), runs + 1))
    params = np.sqrt(flops / (6 * ratio))
    truth = {name: value * np.exp(rng.normal(0, 0.1)) for name, value in TRUTH.items()}
    u = np.log(flops / LEAST)
    log_loss = np.log(laws.chinchilla.predict(truth, params=params, tokens=params * ratio))
    if kind == "bent":
        log_loss = log_loss + rng.normal(0, 0.0015) * (u - np.log(span) / 2) ** 2
    if kind == "broken":
        log_loss = log_loss + rng.normal(0, 0.02) * np.logaddexp(0, u - rng.uniform(0, u.max()))
    falling = 0.01 * (0.002 / 0.01) ** (u / u.max())
    noise = falling if kind == "heteroscedastic" else NOISE
    return pd.DataFrame(
        {
            "run": [f"run{at}" for at in range(runs + 1)],
            "params": params,
            "tokens": params * ratio,
            "loss": np.exp(log_loss + rng.normal(0, 1, runs + 1) * noise),
        }
    )
