"""Run tables of published studies, by name, parsed from the files that their authors released.

A new table is one file here that defines `DATASET`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset
from scaling.common.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset", "dataset", "load", "names"]


def names() -> tuple[str, ...]:
    """The tables known here."""
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "source")
    )


def dataset(name: str) -> Dataset:
    """The paper, licence, files and caveats of one table; an unknown name is a UserError."""
    if name not in names():
        raise UserError(f"unknown dataset '{name}': {nearest(name, names())}")
    found = importlib.import_module(f"{__name__}.{name}").DATASET
    assert isinstance(found, Dataset)
    return found


def load(name: str) -> pd.DataFrame:
    """The table of one published study: standard columns first (params_total, tokens, flops_6nd,
    loss, ...), then the study's own."""
    return dataset(name).load()
