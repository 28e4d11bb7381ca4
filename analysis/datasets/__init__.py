"""Run tables of published studies, by name, parsed from the files that their authors released.

A new table is one file here that defines `DATASET`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset
from scaling.common import plugins

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset", "dataset", "load", "names"]


def names() -> tuple[str, ...]:
    """The tables known here."""
    return plugins.names(__name__)


def dataset(name: str) -> Dataset:
    """The paper, licence, files and caveats of one table; an unknown name is a UserError."""
    found = plugins.find(__name__, name, "dataset", "DATASET")
    assert isinstance(found, Dataset)
    return found


def load(name: str) -> pd.DataFrame:
    """The table of one published study: standard columns first (params_total, tokens, flops_6nd,
    loss, ...), then the study's own."""
    return dataset(name).load()
