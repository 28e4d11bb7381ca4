"""Fit a law to a table of runs: minimise a sum of penalties of residuals, exactly.

    f = sum_i w_i H_delta( ln L_law(x_i) - ln L_i ),   H_delta(r) = r^2/2 inside delta, else linear

in float64, unless another `objective` is given (Hoffmann et al. 2022, Approach 3, with the sum that
their text states). Intervals are percentiles of a bootstrap by weights. Every fit has a status, and
a question that the rows cannot answer raises a UserError.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.fitting import notes as said
from analysis.fitting.arguments import (
    as_law,
    as_table,
    check_name,
    chosen_objective,
    columns_of,
    loss_of,
    refuse_idle,
    whole,
)
from analysis.fitting.bootstrap import Resampling, clusters, resample_weights
from analysis.fitting.identifiability import narrow
from analysis.fitting.identifiability import unidentified as lost_to_the_rows
from analysis.fitting.prediction.held_out import HeldOut
from analysis.fitting.residuals import misfit, rise
from analysis.fitting.result import FitResult
from analysis.fitting.solvers.engine import engine
from analysis.fitting.solvers.objective import Objective
from analysis.fitting.solvers.objective import objective as named_objective
from analysis.fitting.types import LEVEL, FitRecipe, FitStatus
from analysis.tables import query
from analysis.tables.columns import Array, aligned
from analysis.tables.columns import named as without_gaps
from analysis.tables.derived import formulas
from analysis.tables.points import TIGHT, Points, select, select_held_out
from analysis.tables.population import outliers, run_column, unlike
from scaling.common.errors import UserError
from scaling.laws import Law

if TYPE_CHECKING:
    import pandas as pd

ALONE = "none"  # the cluster of rows that are runs by themselves
STARTS = 8  # starts of the fit itself; a resample takes one and the fit


def fit(
    law: Law | str,
    table: pd.DataFrame | str | Path | Mapping[str, Any] | list[Mapping[str, Any]],
    *,
    loss: str = "loss",
    params: str | None = None,
    tokens: str | None = None,
    x: str | None = None,
    columns: Mapping[str, str] | None = None,
    where: str | None = None,
    objective: str = "log_huber",
    delta: float | Literal["mad"] | None = None,
    bootstrap: int = 0,
    resampling: Resampling | None = None,
    cluster: str | None = None,
    seed: int | None = None,
    weights: str | Array | None = None,
    drop_highest: int = 0,
    holdout: str | NDArray[np.bool_] | None = None,
) -> FitResult:
    """Fit `law` to the rows of `table`; the named columns hold its variables and the loss.

    Args:
        law: the law, or its name.
        table: a DataFrame, or a file, columns or rows to make one of.
        columns: the column of each variable of the law; `params`, `tokens` and `x` are short for
            its commonest entries. One not named has the law's own definition, or its own name.
        where: the rows to take, as a condition; `weights` and a mask are of these alone.
        objective: log_ or raw_ residuals, huber, squared or absolute
            (`analysis.fitting.solvers.objective`).
        delta: Huber width, in log loss (in the unit of the loss for raw_huber), 1e-3 if not given;
            "mad" takes 1.345 x 1.4826 x the median absolute deviation of the residuals of a first
            fit.
        bootstrap: resamples behind the intervals; 0 gives none.
        cluster: column whose rows are resampled as a whole. Rows that share a run id are, by
            default; "none" takes each row as a run.
        drop_highest: number of the highest losses to leave out; a warning names them.
        holdout: rows to predict, not fit: a condition such as "flops_6nd>1e15", or a mask.

    `analysis.tables.population.visible` chooses the rows; `.warnings` names those left out. A
    Series of weights or a mask is aligned by its labels. Units of parameters follow the columns.
    Raises UserError where the rows cannot be fitted at all.
    """
    law, table = as_law(law), as_table(table)
    bootstrap, drop_highest = whole("bootstrap", bootstrap), whole("drop_highest", drop_highest)
    refuse_idle(bootstrap, resampling=resampling, cluster=cluster, seed=seed)
    seed = whole("seed", 0 if seed is None else seed)
    resampling = "pairs" if resampling is None else resampling
    if not law.parameters:
        raise UserError(
            f"law '{law.name}': every parameter is given, so nothing is left to fit; its predict() "
            "gives the losses"
        )
    short = {"params": params, "tokens": tokens, "x": x}
    table, named, defaults = columns_of(law, table, short, columns)
    table = query.where(table, where)
    loss, told = loss_of(table, loss)
    if same := [name for name, column in named.items() if column == loss]:
        raise UserError(f"{same[0]}: column '{loss}' is the loss that is to be fitted")
    held_out = _mask(table, holdout)
    options = (loss, weights, drop_highest)
    made = formulas(table, (*named.values(), *_conditions(table, holdout)))
    points = select(table, named, *options, leave_out=held_out)
    points = replace(points, notes=(*points.notes, *told, *defaults, *made))
    said.check_given(law, points)
    grouped = _grouped(points, named.values(), cluster)
    together = clusters(points.rows, grouped)
    runs = int(together.max()) + 1
    goal = chosen_objective(objective, delta) or _measured_width(law, points, objective)
    recipe = FitRecipe(
        loss=loss,
        columns=named,
        where=query.conditions(table),
        objective=goal,
        bootstrap=bootstrap,
        resampling=resampling,
        cluster=grouped,
        seed=seed,
        drop_highest=drop_highest,
        weights=_describe(weights),
        holdout=None if holdout is None else holdout if isinstance(holdout, str) else "given rows",
    )
    size = len(law.parameters)
    distinct = _refuse_hopeless(law, points, loss)

    run = engine(law, points, goal)
    best = run(points.weights[None], STARTS, None)
    if not np.isfinite(best.objective[0]):
        raise UserError(
            f"law '{law.name}': its formula is not a finite positive number on these rows at any "
            "start; mend the formula, or give other starts"
        )
    found = dict(zip(law.parameters, best.values[0].tolist(), strict=True))
    unidentified, why = lost_to_the_rows(law, points, found)
    bounded = tuple(
        name
        for name, held in zip(law.parameters, best.held[0], strict=True)
        if held and name not in unidentified
    )
    notes = [
        *points.notes,
        *said.units(law, points, named),
        *said.clustered(grouped, runs, points, named.get("tokens"), cluster is not None),
        *why,
        *narrow(law, points, found, named),
        *said.bounds(law, points, named, found, bounded),
    ]
    climb = rise(points, law.predict(found, **points.variables))
    if climb:
        notes.append(f"the loss rises with {next(iter(named.values()))} {climb}")
    misses = misfit(law, points, found, (*bounded, *unidentified), together)
    residuals = np.log(points.loss) - np.log(law.predict(found, **points.variables))
    misses += unlike(points.rows, residuals, together, named.values())
    notes += misses
    if not best.certified[0]:
        notes.append("the solver could not certify a minimum: do not use these numbers")
    status = next(
        each
        for each, true in (
            (FitStatus.NOT_IDENTIFIED, unidentified),  # a flat valley is also hard to certify
            (FitStatus.REFUSED, not best.certified[0]),
            (FitStatus.MISFIT, misses or (climb and not climb.followed)),
            (FitStatus.AT_BOUND, bounded),
            (FitStatus.CONVERGED, True),
        )
        if true
    )

    samples = np.empty((0, size))
    if distinct == size:
        notes.append(
            f"{distinct} different rows for {size} parameters: the curve passes "
            "through the points, so there is no interval"
        )
    elif bootstrap and status is not FitStatus.REFUSED:
        drawn = resample_weights(resampling, together, bootstrap, seed, size)
        ends = run(drawn * points.weights, 1, best.values[0])
        samples = ends.values
        notes += said.resamples(law, points, ends, (*bounded, *unidentified))
    result = FitResult(
        law=law,
        estimates=found,
        objective=float(best.objective[0]),
        status=status,
        warnings=tuple(notes),
        unidentified=unidentified,
        bounded=bounded,
        points=points,
        samples=samples,
        recipe=recipe,
        engine=run,
    )
    far = outliers(points.labels, result.residuals, size)
    result = replace(result, warnings=(*notes, *far))
    if held_out is None or status is FitStatus.REFUSED:
        return result
    kept_out = select_held_out(table.loc[held_out], named, loss)
    prediction = result.predict_at(kept_out.variables)
    return replace(result, held_out=HeldOut(kept_out, prediction, LEVEL))


def _mask(table: pd.DataFrame, holdout: str | NDArray[np.bool_] | None) -> Any:
    if holdout is None:
        return None
    mask = (
        query.rows(table, holdout)
        if isinstance(holdout, str)
        else np.asarray(aligned(holdout, table, "holdout"))
    )
    if mask.dtype != bool or mask.shape != (len(table),):
        raise UserError(
            f"holdout: need a condition or {len(table)} true-or-false values, one per row"
        )
    if not mask.any():
        raise UserError(f"{_said(holdout)}: no row is held out")
    if mask.all():
        raise UserError(f"{_said(holdout)}: every row is held out, so none is left to fit")
    return mask


def _said(holdout: object) -> str:
    return f"holdout {holdout!r}" if isinstance(holdout, str) else "holdout"


def _grouped(points: Points, columns: Collection[str], cluster: str | None) -> str | None:
    """The column of clusters: the one asked for, which has no gaps, or that of runs."""
    if cluster is None:
        return run_column(points.rows, columns)
    check_name("cluster", cluster)
    if cluster == ALONE:
        return None
    without_gaps(points.rows, cluster)
    return cluster


def _conditions(table: pd.DataFrame, holdout: Any) -> tuple[str, ...]:
    """The columns by which rows were chosen or held out."""
    held = query.columns_in(table, holdout) if isinstance(holdout, str) else ()
    return (*query.chosen(table), *held)


def _measured_width(law: Law, points: Points, name: str) -> Objective:
    """The objective with a Huber width from the residuals of a first fit."""
    first = named_objective(name, 1e-3)
    values = engine(law, points, first)(points.weights[None], STARTS, None).values[0]
    fitted = law.predict(dict(zip(law.parameters, values, strict=True)), **points.variables)
    residuals = np.log(points.loss / fitted) if first.log else points.loss - fitted
    spread = float(np.median(np.abs(residuals - np.median(residuals))))
    if spread <= TIGHT:
        raise UserError("delta='mad': the first fit leaves no residuals to take a width from")
    return named_objective(name, 1.345 * 1.4826 * spread)


def _refuse_hopeless(law: Law, points: Points, loss: str) -> int:
    """The number of different rows, where they can be fitted."""
    needed = len(law.parameters)
    rows = np.unique(np.vstack([points.log_x, np.log(points.loss)]).round(12), axis=1).shape[1]
    if rows < needed:
        raise UserError(
            f"law '{law.name}' has {needed} parameters and the table {rows} different row(s): "
            f"add at least {needed - rows + 1} runs, or choose a law with fewer parameters"
        )
    if np.ptp(np.log(points.loss)) < TIGHT:
        raise UserError(f"column '{loss}' is the same in every row: no exponent can be fitted")
    return int(rows)


def _describe(weights: str | Array | None) -> str:
    if weights is None:
        return "equal"
    return f"column '{weights}'" if isinstance(weights, str) else "given per row"
