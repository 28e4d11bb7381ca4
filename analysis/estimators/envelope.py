"""Approach 1 of Hoffmann et al. 2022 (arXiv 2203.15556): at each budget the best of all training
curves gives N*(C) and D*(C), without a law of the loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.estimators.frontier import Frontier, line, power_law, read_columns, row_groups
from analysis.estimators.vertex import SIZES
from analysis.tables.columns import Array
from analysis.tables.derived import completed, plain
from analysis.tables.points import check_spans
from analysis.tables.population import ENDS, kept
from scaling.common.errors import UserError
from scaling.laws.allocation import params_allocation, tokens_allocation

if TYPE_CHECKING:
    import pandas as pd


def envelope(
    table: pd.DataFrame,
    *,
    run: str = "run_id",
    loss: str = "loss",
    params: str = "params_total",
    tokens: str = "tokens",
    flops: str = "flops_6nd",
    budgets: int = 1500,
    bootstrap: int = 0,
    seed: int = 0,
) -> Frontier:
    """Approach 1: rows are points of training curves, smooth already. Every curve is interpolated
    at log-spaced budgets: ln loss in ln FLOPs, never beyond its ends. The lowest gives N* and D*.
    Resamples draw whole runs.

    A budget counts if at least three sizes reach it and the best is neither the smallest nor the
    largest. A run whose learning rate has not decayed by then lies too high: give curves of several
    horizons per size, as the paper does, or none that is far from its end.
    """
    import pandas as pd

    table = completed(table, params, tokens)
    params, tokens, flops = (plain(table, each) for each in (params, tokens, flops))
    table, notes = kept(table, loss, (params, tokens, flops), (run, *ENDS))
    read = read_columns(table, (loss, params, tokens, flops), bootstrap)
    read = {name: np.log(values) for name, values in read.items()}
    members = row_groups(table, read[flops], run, 0.0)
    sizes = np.array([read[params][rows_of[0]] for rows_of in members])
    grid = np.linspace(read[flops].min(), read[flops].max(), budgets)

    def curves(column: str) -> Array:
        found = []
        for rows_of in members:
            at = rows_of[np.argsort(read[flops][rows_of], kind="stable")]
            ends = {"left": np.nan, "right": np.nan}
            found.append(np.interp(grid, read[flops][at], read[column][at], **ends))
        return np.array(found)

    heights, data = curves(loss), curves(tokens)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(members), size=(bootstrap, len(members)))
    draws = [np.arange(len(members)), *chosen]
    found = [_lowest(heights, sizes, np.unique(each)) for each in draws]
    best, used, held = found[0]
    if used.sum() < 2:
        raise UserError(
            f"no envelope: {int(used.sum())} of {budgets} budgets have a best size between a "
            "smaller and a larger one; add runs of more sizes"
        )
    warnings = [*notes, *check_spans("envelope", ("compute",), grid[None, used])]
    if (held & ~used).any():
        warnings.append(
            f"{int((held & ~used).sum())} of {int(held.sum())} budgets left out: their best size "
            "is the smallest or the largest that was trained"
        )
    winners = len(np.unique(sizes[best[used]]))
    if winners < 2 * SIZES:
        warnings.append(f"only {winners} sizes are ever the best: the envelope is a few steps")
    laws = []
    for law, values in ((params_allocation, np.repeat(sizes[:, None], budgets, 1)),
                        (tokens_allocation, data)):  # fmt: skip
        lines = [
            line(grid[on], values[at[on], np.flatnonzero(on)], np.ones(on.sum()))
            for at, on, _ in found
            if on.sum() >= 2
        ]
        laws.append(power_law(law, np.array(lines)))
    at = np.flatnonzero(held)
    optima = pd.DataFrame(
        {
            "flops": np.exp(grid[at]),
            "params": np.exp(sizes[best[at]]),
            "tokens": np.exp(data[best[at], at]),
            "loss": np.exp(heights[best[at], at]),
            "used": used[at],
        }
    )
    return Frontier(laws[0], laws[1], optima, tuple(warnings))


def _lowest(
    heights: Array, sizes: Array, present: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
    """Per budget: the lowest of the runs present, and two marks: it lies between other sizes, and
    at least three sizes reach the budget."""
    reach = np.isfinite(heights[present])
    level = np.where(reach, heights[present], np.inf)
    best = present[level.argmin(axis=0)]
    mine = sizes[present][:, None]
    low = np.where(reach, mine, np.inf).min(axis=0)
    high = np.where(reach, mine, -np.inf).max(axis=0)
    between = (sizes[best] > low) & (sizes[best] < high) & reach.any(axis=0)
    ordered = np.sort(np.where(reach, mine, np.nan), axis=0)
    different = (np.diff(ordered, axis=0) > 0).sum(axis=0) + 1
    held = different >= SIZES
    return best, between & held, held
