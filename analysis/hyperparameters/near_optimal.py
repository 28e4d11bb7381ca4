"""Near-optimal runs of each cell, and the regret of a rule.

The excess of a run is L / min L - 1, over the runs of its cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from analysis.hyperparameters.cells import cells, check_within

if TYPE_CHECKING:
    import pandas as pd

SettingRule = Callable[[Mapping[str, float]], Mapping[str, float]]
"""rule(cell) -> hyperparameters: both by the names of the columns."""


def near_optimal_set(
    table: pd.DataFrame,
    *,
    cell: tuple[str, ...],
    hyper: tuple[str, ...],
    loss: str = "loss",
    within: float = 0.0025,
) -> pd.DataFrame:
    """The runs whose loss is less than 1 + `within` times the least of their cell, with `excess`.

    A line through them (`regress`) is Step Law's recipe (Li et al. 2025, arXiv 2503.04715, released
    code). It needs no surface, but a flat or skewed bowl pulls its middle away from its bottom.
    """
    check_within(within)
    sorted_runs = cells(table, cell, hyper, loss)
    kept = sorted_runs.excess < within
    return sorted_runs.rows[kept].assign(excess=sorted_runs.excess[kept])


def regret(
    table: pd.DataFrame,
    rule: SettingRule,
    *,
    cell: tuple[str, ...],
    hyper: tuple[str, ...],
    loss: str = "loss",
) -> pd.DataFrame:
    """Regret of `rule` in each cell: the excess of the run nearest to its values.

    Distances are Euclidean in the logarithms of the hyperparameters. A row per cell holds the cell,
    the rule's values, `distance` from the nearest run, and `excess`. The best of noisy runs is best
    in part by its noise. So a perfect rule has a regret above 0 too.
    """
    import pandas as pd

    runs = cells(table, cell, hyper, loss)
    found = []
    for at in range(len(runs)):
        values = runs.values(at)
        asked = rule(values)
        target = np.log([asked[name] for name in hyper])
        mine = np.flatnonzero(runs.member == at)
        distance = np.linalg.norm(runs.log_hyper[mine] - target, axis=1)
        nearest = int(np.argmin(distance))
        found.append(
            {
                **values,
                **{name: asked[name] for name in hyper},
                "distance": distance[nearest],
                "excess": runs.excess[mine[nearest]],
            }
        )
    return pd.DataFrame(found)
