"""A table of runs as the page of a tracker exports it: 34 rows of a known law, in disorder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from scaling import laws

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
SIZES = {"70M": 7e7, "160M": 1.6e8, "410M": 4.1e8, "1.2B": 1.2e9, "2.8B": 2.8e9, "6.9B": 6.9e9}
RATIOS = (5, 12, 30, 80, 160)
NOISE = 0.003
CRASHED, RUNNING, WITHOUT = (3, 17), (8,), (21,)  # of the 30 runs
CHECKPOINTS = {12: (0.25, 0.5), 27: (0.3, 0.6)}  # of a run: shares of its tokens


def runs() -> pd.DataFrame:
    """30 runs and 4 checkpoints of two of them, shuffled; some never ended, one has no loss."""
    rng = np.random.default_rng(0)
    rows = []
    for at, (size, ratio) in enumerate((s, r) for s in SIZES for r in RATIOS):
        state = "crashed" if at in CRASHED else "running" if at in RUNNING else "finished"
        share = 0.4 if state != "finished" else 1.0
        for part in (*CHECKPOINTS.get(at, ()), share):
            tokens = part * ratio * SIZES[size]
            loss = float(laws.chinchilla.predict(TRUTH, params=SIZES[size], tokens=tokens))
            loss *= float(np.exp(rng.normal(0, NOISE))) * (1.0 if part == 1.0 else 1.06)
            rows.append({
                "Name": f"ladder-{size}", "ID": f"r{at:02d}", "State": state, "Notes": "",
                "User": "me", "Tags": "ladder, v2", "Created": f"2025-03-{1 + at % 28:02d}",
                "Runtime": 3600 * at, "lr": 0.003, "n_params": size, "Tokens": f"{round(tokens):,}",
                "eval/loss": "NaN" if at in WITHOUT else f"{loss:.5f}", "train/loss": loss * 0.98,
            })  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


def write(file: Path) -> None:
    """With a byte order mark, and every cell in quotes, as the browser saves it."""
    file.write_text("\ufeff" + runs().to_csv(index=False, quoting=1), encoding="utf-8")


def best(flops: float) -> tuple[float, float]:
    """The true parameters and tokens of a budget."""
    size, data = laws.chinchilla.optimal(TRUTH, np.asarray(flops))
    return float(size), float(data)
