"""Published figures, drawn again from the released data.

A new figure is one file here that defines `reproduce() -> Reproduction`; its docstring is its help.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from analysis.figures._reproduction import Reproduction, Row, table_text
from scaling.common.errors import UserError, nearest

__all__ = ["Reproduction", "Row", "about", "names", "reproduce", "table_text"]


def names() -> tuple[str, ...]:
    """The figures known here."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if name != "reproduction"))


def about(name: str) -> str:
    """The first line of a figure's file."""
    return (_module(name).__doc__ or "").splitlines()[0]


def reproduce(name: str) -> Reproduction:
    """Draw one figure again."""
    made = _module(name).reproduce()
    assert isinstance(made, Reproduction)
    return made


def _module(name: str) -> ModuleType:
    if name not in names():
        raise UserError(f"unknown figure '{name}': {nearest(name, names())}")
    return importlib.import_module(f"{__name__}.{name}")
