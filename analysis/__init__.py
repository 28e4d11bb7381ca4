"""Records in; laws, intervals and pictures out. Imports nothing that trains."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from scaling.common.packages import ROOMS, check_packages

if TYPE_CHECKING:
    from analysis.fitting.card import card
    from analysis.fitting.fit import fit
    from analysis.fitting.result import FitResult
    from analysis.tables.files import load_table
    from analysis.tables.query import where
    from analysis.tables.runs import load_runs, trajectory

__all__ = ["FitResult", "card", "fit", "load_runs", "load_table", "trajectory", "where"]

_HOME = {
    "card": "analysis.fitting.card",
    "fit": "analysis.fitting.fit",
    "FitResult": "analysis.fitting.result",
    "load_runs": "analysis.tables.runs",
    "load_table": "analysis.tables.files",
    "trajectory": "analysis.tables.runs",
    "where": "analysis.tables.query",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that `windtunnel --help` stays quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'analysis' has no attribute '{name}'")
    check_packages(*ROOMS["analysis"].uses)
    return getattr(importlib.import_module(_HOME[name]), name)
