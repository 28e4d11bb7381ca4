"""Fit a law to a table of runs: minimise the summed Huber loss of log residuals, exactly.

    f = sum_i w_i H_delta( ln L_law(x_i) - ln L_i ),   H_delta(r) = r^2/2 inside delta, else linear

in float64 (Hoffmann et al. 2022, Approach 3, with the sum that their text states). The optimum is
found by `analysis.solver`; intervals are percentiles of a bootstrap by weights. Nothing comes back
without a status, and a question that the rows cannot answer is refused in one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.points import Points, select
from analysis.result import (
    TIGHT,
    FitResult,
    Recipe,
    Status,
    distinct_values,
    values_needed,
)
from analysis.solver import Array, Problem, Solution, solve
from analysis.uncertainty import Resampling, resample_weights
from scaling.errors import UserError
from scaling.laws import Law

if TYPE_CHECKING:
    import pandas as pd

STARTS = 8  # cells of the scan that the fit itself starts from; resamples take one and the fit


def fit(
    law: Law,
    table: pd.DataFrame,
    *,
    loss: str = "loss",
    params: str = "params_total",
    tokens: str = "tokens",
    x: str = "flops_6nd",
    delta: float = 1e-3,
    bootstrap: int = 0,
    resampling: Resampling = "pairs",
    seed: int = 0,
    weights: str | Array | None = None,
    drop_highest: int = 0,
) -> FitResult:
    """Fit `law` to the rows of `table`; the named columns hold its variables and the loss.

    Rows of our own records that did not complete, or are held out, are left out and named in
    `.warnings`. `delta` is in log loss (numpy.inf gives least squares). Units of parameters follow
    the columns. Raises UserError where the rows cannot be fitted at all.
    """
    if not delta > 0:
        raise UserError(f"delta={delta}: the Huber width must be positive (inf for least squares)")
    if bootstrap < 0:
        raise UserError(f"bootstrap={bootstrap}: the number of resamples cannot be negative")
    available = {"params": params, "tokens": tokens, "x": x}
    columns = {name: available[name] for name in law.variables}
    points = select(table, columns, loss, weights, drop_highest)
    recipe = Recipe(
        loss, columns, delta, bootstrap, resampling, seed, drop_highest, _describe(weights)
    )
    _refuse_hopeless(law, points, loss)

    centre = points.log_x.mean(axis=1)
    problem = Problem(
        points.log_x - centre[:, None], np.log(points.loss), int(law.offset is not None), delta
    )
    solution = solve(problem, points.weights[None], STARTS)
    estimates = _natural(law, problem, solution, centre)[0]
    unidentified, why = _unidentified(law, points)
    bounded = _bounded(law, problem, solution, unidentified)
    notes = [*points.notes, *why, *(_bound_note(law, name) for name in bounded)]

    status = Status.CONVERGED
    if bounded:
        status = Status.AT_BOUND
    if not solution.certified[0]:
        status = Status.REFUSED
        notes.append("the solver could not certify a minimum: do not use these numbers")
    if unidentified:  # says more than REFUSED, which a flat valley may also earn
        status = Status.NOT_IDENTIFIED

    samples = np.empty((0, problem.size))
    distinct_rows = len(np.unique(np.vstack([problem.z, problem.y]).round(12), axis=1).T)
    if distinct_rows == problem.size:
        notes.append(
            f"{distinct_rows} different rows for {problem.size} parameters: the curve passes "
            "through the points, so there is no interval"
        )
    elif bootstrap and status is not Status.REFUSED:
        drawn = resample_weights(resampling, len(points), bootstrap, seed, problem.size)
        ends = solve(problem, drawn * points.weights, 1, warm=solution.theta[0])
        samples = _natural(law, problem, ends, centre)
        notes += _bootstrap_notes(law, problem, ends, samples, bounded, unidentified)
    return FitResult(
        law=law,
        estimates=dict(zip(law.parameters, estimates.tolist(), strict=True)),
        objective=float(solution.value[0]),
        status=status,
        warnings=tuple(notes),
        unidentified=unidentified,
        bounded=bounded,
        points=points,
        samples=samples,
        recipe=recipe,
    )


def _refuse_hopeless(law: Law, points: Points, loss: str) -> None:
    needed = len(law.parameters)
    rows = np.unique(np.vstack([points.log_x, np.log(points.loss)]).round(12), axis=1).shape[1]
    if rows < needed:
        raise UserError(
            f"law '{law.name}' has {needed} parameters and the table {rows} different row(s): "
            f"add at least {needed - rows + 1} runs, or choose a law with fewer parameters"
        )
    if np.ptp(np.log(points.loss)) < TIGHT:
        raise UserError(f"column '{loss}' is the same in every row: no exponent can be fitted")


def _natural(law: Law, problem: Problem, solution: Solution, centre: Array) -> Array:
    """theta to the units of the columns: A_k = exp(a_k + alpha_k mean ln x_k)."""
    head, split = problem.offset_terms, problem.terms
    theta = solution.theta
    exponents = theta[:, split:]
    return np.concatenate(
        [
            theta[:, :head] * problem.scale,
            np.exp(theta[:, head:split] + exponents * centre),
            exponents,
        ],
        axis=1,
    )


def _unidentified(law: Law, points: Points) -> tuple[tuple[str, ...], list[str]]:
    """Names that the design cannot determine, whatever the losses are, and why."""
    names: set[str] = set()
    why: list[str] = []
    for term in law.terms:
        count = len(distinct_values(np.log(points.variables[term.variable])))
        if count < values_needed(law):
            lost = {term.amplitude, term.exponent} | ({law.offset} if law.offset else set())
            names |= lost
            held = "is the same in every row" if count == 1 else f"takes only {count} values"
            why.append(f"{term.variable} {held}: {', '.join(sorted(lost))} not identified")
    centred = points.log_x - points.log_x.mean(axis=1, keepdims=True)
    strength = np.linalg.svd(centred, compute_uv=False)
    if not why and strength.min() <= TIGHT * strength.max():
        lost = {name for term in law.terms for name in (term.amplitude, term.exponent)}
        names |= lost
        why.append(
            f"{' and '.join(law.variables)} move together in every row: "
            f"{', '.join(sorted(lost))} can be exchanged and are not identified"
        )
    return tuple(name for name in law.parameters if name in names), why


def _bounded(
    law: Law, problem: Problem, solution: Solution, unidentified: tuple[str, ...]
) -> tuple[str, ...]:
    low, high = problem.box
    theta = solution.theta[0]
    # a dead term, a = -inf with exponent 0, lies outside the box in both of its entries
    at_end = (theta <= low) | (theta >= high)
    return tuple(
        name
        for name, held in zip(law.parameters, at_end, strict=True)
        if held and name not in unidentified
    )


def _bound_note(law: Law, name: str) -> str:
    if name == law.offset:
        return (
            f"{name} = 0 fits best: these runs show no floor, and the true one may lie anywhere "
            "below the losses seen"
        )
    return f"{name} is at a bound: this term is dead or flat over the range of the runs"


def _bootstrap_notes(
    law: Law,
    problem: Problem,
    ends: Solution,
    samples: Array,
    bounded: tuple[str, ...],
    unidentified: tuple[str, ...],
) -> list[str]:
    notes = []
    missed = 1 - ends.certified.mean()
    if missed > 0.01:
        notes.append(f"{missed:.0%} of resamples ended without a certified minimum")
    free = law.offset is not None and law.offset not in (*bounded, *unidentified)
    if free:
        zero = float((samples[:, 0] == 0).mean())
        if zero > 0.025:
            notes.append(
                f"{law.offset} is 0 in {zero:.0%} of resamples: these runs bound it from above only"
            )
    return notes


def _describe(weights: str | Array | None) -> str:
    if weights is None:
        return "equal"
    return f"column '{weights}'" if isinstance(weights, str) else "given per row"
