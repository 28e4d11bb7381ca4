"""Scores of intervals: error, bias, coverage, width and the interval score.

Everything is of log losses, times 100: about per cent. For an interval [l, u] of nominal level
1 - a, the score (u - l) + 2/a max(l - y, 0) + 2/a max(y - u, 0) is least in the mean for the true
quantiles (Winkler 1972). Rows are averaged within a family, families within a study, and studies
among themselves, so that no large table drowns the others. Standard errors are over studies.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from scaling.common.tables import table

LEVEL = 0.95
MEANS = ("bias", "covers", "width", "score", "given")
SHORT_REACH = 20  # the table of each study takes reaches up to it


def outcomes(
    measured: np.ndarray, value: np.ndarray, low: np.ndarray, high: np.ndarray
) -> dict[str, np.ndarray]:
    """Scores of m log losses; those of an interval that is not given are nan."""
    miss = np.maximum(low - measured, 0) + np.maximum(measured - high, 0)
    given = np.isfinite(high - low)
    return {
        "error": 100 * np.abs(measured - value),
        "bias": 100 * (measured - value),
        "covers": np.where(given, 100.0 * (miss == 0), np.nan),
        "width": 100 * (high - low),
        "score": 100 * (high - low + 2 / (1 - LEVEL) * miss),
        "given": 100.0 * given,
    }


def by_study(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """One row per study: over its families, the mean of their medians of the error, and of their
    means of the others."""
    family = rows.groupby([*by, "study", "family"], sort=False)
    each = family[list(MEANS)].mean().assign(error=family["error"].median())
    return each.groupby([*by, "study"], sort=False).mean()


def summary(rows: pd.DataFrame, by: list[str], base: str = "default") -> pd.DataFrame:
    """Means over studies by `by` and method, with standard errors. `relative` is the geometric mean
    over studies of the score over that of the method `base`: all studies weigh alike in it, however
    large their errors."""
    keys = [*by, "method"]
    studies = by_study(rows, keys)
    over = studies.groupby(keys, sort=False)
    found = over.mean().assign(studies=over.size())
    for name in ("covers", "score"):
        found[f"{name}_se"] = over[name].std() / np.sqrt(over[name].count())
    logs = np.log(studies["score"]).unstack("method")
    ratio = logs.sub(logs[base], axis=0).groupby(by, sort=False).mean()
    return found.assign(relative=np.exp(ratio.stack(future_stack=True)).reindex(found.index))


def report(rows: pd.DataFrame, by: list[str]) -> str:
    """The main table: methods within each value of `by`."""
    cells = []
    for key, row in summary(rows, by).iterrows():
        *where, method = key
        cells.append(
            (
                *map(str, where),
                method,
                f"{row['error']:.2f}",
                f"{row['bias']:+.2f}",
                f"{row['covers']:.0f} +- {row['covers_se']:.0f}",
                f"{row['width']:.1f}",
                f"{row['score']:.1f} +- {row['score_se']:.1f}",
                f"{row['relative']:.2f}",
                f"{row['given']:.0f}",
                f"{row['studies']:.0f}",
            )
        )
    heads = (*by, "method", "|error|", "bias", "covers", "width", "score", "relative", "given", "n")
    return table(heads, cells)


def report_studies(rows: pd.DataFrame) -> str:
    """Coverage and score of every method, by study, at reaches up to 20."""
    studies = by_study(rows[rows["reach"] <= SHORT_REACH], ["method"])
    wide = studies[["covers", "score"]].unstack("method")
    methods = list(dict.fromkeys(rows["method"]))
    cells = [
        (study, *(f"{row['covers', name]:.0f} / {row['score', name]:.1f}" for name in methods))
        for study, row in wide.iterrows()
    ]
    return table(("study", *methods), cells)
