"""The laws by name. A new law is one file here that defines a `Law`.

`laws.chinchilla` is the law itself, not the file of that name.
"""

from __future__ import annotations

from collections.abc import Mapping

from scaling.common import plugins
from scaling.common.errors import UserError, nearest
from scaling.laws._law import (
    Convention,
    Law,
    Parameter,
    Published,
    Term,
    additive,
    amplitude,
    exponent,
    offset,
    positive,
    real,
)

__all__ = [
    "LAWS",
    "Convention",
    "Law",
    "Parameter",
    "Published",
    "Term",
    "additive",
    "amplitude",
    "by_name",
    "exponent",
    "offset",
    "positive",
    "real",
]

LAWS: Mapping[str, Law] = plugins.values(__name__, Law)
globals().update(LAWS)


def __getattr__(name: str) -> Law:
    """The law of that name; this also gives a type checker the type of `laws.chinchilla`."""
    if name not in LAWS:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return LAWS[name]


def by_name(name: str) -> Law:
    """The law of that name; an unknown name is a UserError with the nearest one."""
    if name not in LAWS:
        raise UserError(f"unknown law '{name}': {nearest(name, LAWS)}")
    return LAWS[name]
