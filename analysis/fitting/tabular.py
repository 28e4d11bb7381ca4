"""Results as tables: to work with, and as a notebook shows them."""

from __future__ import annotations

from abc import abstractmethod
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class Tabular:
    """A result that has a table, under a line in words."""

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """Values with the ends of their intervals; nan for an end that is not known."""

    @property
    @abstractmethod
    def in_words(self) -> str:
        """The line above the table."""

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.in_words)}</p>{self.table().to_html(float_format='{:.4g}'.format)}"
