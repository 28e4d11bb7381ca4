"""Objectives of a fit: a sum over rows of a penalty of residuals, never a mean.

    huber      H_delta(r) = r^2 / 2 inside delta, delta (|r| - delta / 2) outside
    squared    r^2 / 2
    absolute   |r|

of logarithmic residuals, ln fitted - ln measured, or of raw ones, fitted - measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from scaling.common.errors import UserError, nearest

NARROW = 1e-8  # a Huber width so narrow that its optimum is that of absolute residuals
MAD = "mad"


@dataclass(frozen=True)
class Objective:
    """All six as Huber: `delta` is the width, and `unit` divides the sum."""

    name: str
    log: bool
    delta: float
    unit: float = 1.0

    def __str__(self) -> str:
        kind = self.name.split("_")[1]
        what = "log residuals" if self.log else "residuals"
        return {
            "huber": f"sum of Huber losses of {what}, delta {self.delta:.6g}",
            "squared": f"half the sum of squared {what}",
            "absolute": f"sum of absolute {what}",
        }[kind]


KINDS = ("log_huber", "log_squared", "log_absolute", "raw_huber", "raw_squared", "raw_absolute")


def objective(name: str, delta: float) -> Objective:
    """One of the six by name; `delta` is of the Huber ones."""
    if name not in KINDS:
        raise UserError(f"objective '{name}': {nearest(name, KINDS)}")
    if not delta > 0:
        raise UserError(f"delta={delta}: the Huber width must be positive (inf for least squares)")
    log, kind = name.startswith("log"), name.split("_")[1]
    if kind == "squared":
        return Objective(name, log, float("inf"))
    if kind == "absolute":
        return Objective(name, log, NARROW, unit=NARROW)
    return Objective(name, log, delta)
