"""Records in; laws, intervals and pictures out. Imports nothing that trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaling.common.packages import lazy

if TYPE_CHECKING:
    from analysis.fitting.card import card
    from analysis.fitting.fit import fit
    from analysis.fitting.result import FitResult
    from analysis.tables.files import load_table
    from analysis.tables.query import where
    from analysis.tables.runs import load_runs, trajectory

__all__ = ["FitResult", "card", "fit", "load_runs", "load_table", "trajectory", "where"]

__getattr__ = lazy(
    __name__,
    {
        "card": "analysis.fitting.card",
        "fit": "analysis.fitting.fit",
        "FitResult": "analysis.fitting.result",
        "load_runs": "analysis.tables.runs",
        "load_table": "analysis.tables.files",
        "trajectory": "analysis.tables.runs",
        "where": "analysis.tables.query",
    },
)
