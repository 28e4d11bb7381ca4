"""Records in; laws, intervals and pictures out. Imports nothing that trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaling.common.packages import lazy

if TYPE_CHECKING:
    from analysis.fitting.card import card
    from analysis.fitting.fit import fit
    from analysis.fitting.result import FitResult
    from analysis.hyperparameters.best import best_setting
    from analysis.inference.compare import compare
    from analysis.inference.compute_gain import crossing, gain
    from analysis.inference.plots import plot
    from analysis.tables.files import load_table
    from analysis.tables.query import where
    from analysis.tables.runs import load_runs, trajectory

__all__ = [
    "FitResult",
    "best_setting",
    "card",
    "compare",
    "crossing",
    "fit",
    "gain",
    "load_runs",
    "load_table",
    "plot",
    "trajectory",
    "where",
]

__getattr__ = lazy(
    __name__,
    {
        "best_setting": "analysis.hyperparameters.best",
        "card": "analysis.fitting.card",
        "compare": "analysis.inference.compare",
        "crossing": "analysis.inference.compute_gain",
        "fit": "analysis.fitting.fit",
        "FitResult": "analysis.fitting.result",
        "gain": "analysis.inference.compute_gain",
        "load_runs": "analysis.tables.runs",
        "load_table": "analysis.tables.files",
        "plot": "analysis.inference.plots",
        "trajectory": "analysis.tables.runs",
        "where": "analysis.tables.query",
    },
)
