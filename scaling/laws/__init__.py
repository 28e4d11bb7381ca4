"""The laws by name. A new law is one file here and its line in `LAWS`.

`laws.chinchilla` is the law itself, not the module of that name.
"""

from __future__ import annotations

from scaling.errors import UserError, nearest
from scaling.laws.chinchilla import chinchilla
from scaling.laws.law import (
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
from scaling.laws.power import power_law, power_law_no_offset

LAWS: dict[str, Law] = {law.name: law for law in (chinchilla, power_law, power_law_no_offset)}

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
    "chinchilla",
    "exponent",
    "offset",
    "positive",
    "power_law",
    "power_law_no_offset",
    "real",
]


def by_name(name: str) -> Law:
    """The law of that name; an unknown name is a UserError with the nearest one."""
    if name not in LAWS:
        raise UserError(f"unknown law '{name}': {nearest(name, LAWS)}")
    return LAWS[name]
