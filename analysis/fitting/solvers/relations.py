"""Held and tied parameters of an additive power law, as affine relations of what the solver sees.

    theta = turn free + shift,   theta = (E / unit, a_1 .. a_K, alpha_1 .. alpha_K)

with a_k = ln A_k - alpha_k c_k, c_k the mean log of variable k: a known A_k or one that is shared
moves a_k with the exponents. P numbers in theta, F <= P free ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.tables.points import Array
from scaling.laws import Law


@dataclass(frozen=True)
class Relations:
    """theta = turn free + shift. Every free number is an entry of theta; exponents depend on
    exponents alone."""

    turn: Array  # (P, F)
    shift: Array  # (P,)

    @property
    def own(self) -> NDArray[np.intp]:
        """The entry of theta that each free number is, (F,)."""
        copies = (np.count_nonzero(self.turn, axis=1) == 1) & (self.shift == 0)
        return np.argmax((self.turn == 1) & copies[:, None], axis=0)

    def without(self, *entries: int) -> tuple[Relations, NDArray[np.intp]]:
        """The relations of a law without some entries, and the free numbers that are left."""
        turn = np.delete(self.turn, entries, axis=0)
        left = np.flatnonzero(turn.any(axis=0))
        return Relations(turn[:, left], np.delete(self.shift, entries)), left


def representable(law: Law) -> bool:
    """True where amplitudes are tied to amplitudes alone, and exponents to exponents."""
    powers = {term.exponent for term in law.terms}
    sizes = {term.amplitude for term in law.terms}
    return all(
        {name, other} <= powers or {name, other} <= sizes for name, other in law.equal.items()
    )


def relations(law: Law, centre: Array, unit: float) -> Relations | None:
    """The relations of this law, or None where every parameter is free."""
    if not law.relations:
        return None
    each = np.eye(len(law.parameters) + 1)  # the last column is the shift
    free = dict(zip(law.parameters, each[:-1], strict=True))
    one = each[-1]

    def row(name: str) -> Array:
        return law.fixed[name] * one if name in law.fixed else free[law.equal.get(name, name)]

    powers = {term.amplitude: row(term.exponent) for term in law.terms}
    middle = dict(zip(powers, centre, strict=True))
    rows = [row(law.constant) / (unit if law.constant in law.fixed else 1)] if law.constant else []
    for name, power in powers.items():
        root = law.equal.get(name, name)
        if name in law.fixed:
            rows.append(np.log(law.fixed[name]) * one - middle[name] * power)
        elif root == name:
            rows.append(free[name])
        else:
            rows.append(free[root] + middle[root] * powers[root] - middle[name] * power)
    whole = np.stack([*rows, *powers.values()])
    return Relations(whole[:, :-1], whole[:, -1])
