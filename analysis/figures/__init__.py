"""Published figures, drawn again from the released data.

A new figure is one file here that defines `reproduce() -> Reproduction`; its docstring is its help.
"""

from __future__ import annotations

from analysis.figures._reproduction import Reproduction, Row, table_text
from scaling.common import plugins

__all__ = ["Reproduction", "Row", "about", "names", "reproduce", "table_text"]


def names() -> tuple[str, ...]:
    """The figures known here."""
    return plugins.names(__name__)


def about(name: str) -> str:
    """The first line of a figure's file."""
    return (plugins.load(__name__, name, "figure").__doc__ or "").splitlines()[0]


def reproduce(name: str) -> Reproduction:
    """Draw one figure again."""
    made = plugins.find(__name__, name, "figure", "reproduce")()
    assert isinstance(made, Reproduction)
    return made
