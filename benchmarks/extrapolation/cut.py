"""Cuts of a family by compute: fit the rungs below, predict the rows above at fixed reaches.

reach = compute of the row / largest compute below the cut. A row counts for the nearest of
`REACHES`, in logarithms; rows nearer than 1.4 or farther than 140 count for none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.extrapolation.families import Family

REACHES = (2, 5, 10, 20, 50, 100)
LEAST_RUNGS = 2  # below a cut: one rung shows no slope
CUTS = 3  # of one family, spread over its rungs: neighbours share nearly all their rows


@dataclass(frozen=True, eq=False)
class Cut:
    """Rows of a family below rung `rung`, and those above it that lie at one of the reaches."""

    family: Family
    rung: int
    below: pd.DataFrame
    above: pd.DataFrame  # with the columns `beyond` (the factor of compute) and `reach`

    @property
    def variables(self) -> dict[str, np.ndarray]:
        """The variables of the law at the rows above."""
        return {name: self.above[name].to_numpy() for name in self.family.law.variables}


def nearest_reach(beyond: np.ndarray) -> np.ndarray:
    """The nearest of `REACHES` in logarithms; 0 for a row that is too near or too far."""
    away = np.abs(np.log(beyond)[:, None] - np.log(REACHES))
    found = np.array(REACHES)[away.argmin(axis=1)]
    return np.where((beyond >= 2**0.5) & (beyond <= REACHES[-1] * 2**0.5), found, 0)


def cuts(family: Family) -> list[Cut]:
    """At most `CUTS` of those that leave more rows below than the law has constants, and a row at a
    reach above."""
    found = list(_cuts(family))
    chosen = np.unique(np.linspace(0, len(found) - 1, CUTS).round().astype(int)) if found else []
    return [found[at] for at in chosen]


def _cuts(family: Family) -> Iterator[Cut]:
    compute, group, rows = family.compute, family.group, family.rows
    for rung in range(LEAST_RUNGS, int(group.max()) + 1):
        below = group < rung
        if below.sum() <= len(family.law.parameters):
            continue
        beyond = compute[~below] / compute[below].max()
        above = rows[~below].assign(beyond=beyond, reach=nearest_reach(beyond))
        above = above[above["reach"] > 0]
        if len(above):
            yield Cut(family, rung, rows[below], above)
