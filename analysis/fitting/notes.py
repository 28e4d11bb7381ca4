"""Notes of a fit: bounds and their side, checkpoints of one run, and resamples that are too few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from analysis.fitting.solvers.engine import Ends
from analysis.tables.columns import numeric
from analysis.tables.points import TIGHT, Array, Points
from analysis.tables.population import last_rows
from analysis.tables.words import columns_saying
from scaling.common.errors import UserError
from scaling.laws import Law, Parameter

FEW_CLUSTERS, FEW_RESAMPLES = 10, 100
TAIL = 0.025  # share of resamples beyond each end of an interval
STANDARD_ERRORS = 2.0  # of a slope, beyond which the loss rises
LEAST_FLOPS = 1e6  # of a run; a column of less counts something else, or is in PF-days
FAR_OFF = 100.0  # a factor between 6 N D and FLOPs that is no way of counting
LARGEST = 300.0  # log of a term, so that squares and products of terms are numbers


def check_given(law: Law, points: Points) -> None:
    """Refuse a given floor that some rows lie below, and a power beyond what numbers can hold."""
    for term in law.terms:
        spread = law.fixed.get(term.exponent, 0.0) * np.ptp(np.log(points.variables[term.variable]))
        if spread > LARGEST:
            raise UserError(
                f"{term.exponent} = {law.fixed[term.exponent]:g}: between these rows its term "
                f"changes by a factor of e^{spread:.3g}; give a lower one, or leave it free"
            )
    floor = law.fixed.get(law.constant or "", 0.0)
    below = np.flatnonzero(points.loss <= floor)
    if below.size:
        lowest = below[np.argmin(points.loss[below])]
        raise UserError(
            f"{law.constant} = {floor:g} is a floor that no run can reach, and {below.size} of "
            f"{len(points)} rows lie at or below it (lowest: {points.labels[lowest]}, "
            f"{points.loss[lowest]:g}): give a lower one, or leave it free"
        )


def units(law: Law, points: Points, columns: Mapping[str, str]) -> Iterator[str]:
    """A note where 6 N D, the compute of plans, is far from the FLOPs that the table records."""
    if law.allocation is None or not {"params", "tokens"} <= columns.keys():
        return
    rows, counted = points.rows, 6 * points.variables["params"] * points.variables["tokens"]
    for column in (
        *columns_saying("flops_6nd", rows.columns),
        *columns_saying("flops", rows.columns),
    ):
        found = numeric(rows[column])
        if not (np.isfinite(found) & (found > LEAST_FLOPS)).all():
            continue
        ratio = float(np.median(counted / found))
        if not 1 / FAR_OFF < ratio < FAR_OFF:
            yield (
                f"6 x {columns['params']} x {columns['tokens']} is {ratio:.2g} times column "
                f"'{column}' in the median: a plan has C = 6 N D, so write sizes, tokens and FLOPs "
                "in full"
            )


def bounds(
    law: Law, points: Points, columns: Mapping[str, str], found: Mapping[str, float],
    bounded: tuple[str, ...],
) -> list[str]:  # fmt: skip
    """A line for each parameter at a bound: which, and what the rows do there."""
    space = {each.name: each for each in law.space}
    residuals = np.log(points.loss) - np.log(law.predict(found, **points.variables))
    lines = [_bound(law, points, residuals, columns, space[name], found[name]) for name in bounded]
    return list(dict.fromkeys(lines))


def _bound(
    law: Law, points: Points, residuals: Array, columns: Mapping[str, str], each: Parameter,
    value: float,
) -> str:  # fmt: skip
    """Which bound, and the way of the loss along the variable of the parameter."""
    least, most = each.ends({**points.variables, "loss": points.loss})
    low = value <= least + TIGHT * (abs(least) or 1)
    if each.floor and low:
        return (
            f"{each.name} = {least:g} fits best: these runs show no floor, and the true one may "
            "lie anywhere below the losses seen"
        )
    end, limit = ("lower", least) if low else ("upper", most)
    said = f"{each.name} is at its {end} bound, {limit:g}"
    term = next((t for t in law.terms if each.name in (t.amplitude, t.exponent)), None)
    variable = term.variable if term else law.variables[0] if len(law.variables) == 1 else None
    if each.floor or variable is None or not low:
        return said
    column = columns[variable]
    names = f"{term.amplitude}, {term.exponent}" if term else each.name
    if _rises(points, residuals, variable):
        return f"the loss rises with {column}, so no falling power law fits it: {names}"
    if term:
        return f"{names}: this term is dead or flat over the range of {column}"
    return said


def _rises(points: Points, residuals: Array, variable: str) -> bool:
    """True where residuals rise with the log of a variable beyond the error of their slope."""
    x = np.log(points.variables[variable])
    x = x - np.average(x, weights=points.weights)
    spread = float(np.sum(points.weights * x**2))
    slope = float(np.sum(points.weights * x * residuals)) / max(spread, TIGHT)
    left = residuals - np.average(residuals, weights=points.weights) - slope * x
    variance = np.sum(points.weights * left**2) / max(1, len(x) - 2)
    return slope > STANDARD_ERRORS * float(np.sqrt(variance / max(spread, TIGHT)))


def clustered(
    cluster: str | None, runs: int, points: Points, tokens: str | None, asked: bool
) -> Iterator[str]:
    """Notes on rows of one run, and on clusters that are few."""
    if cluster is None:
        return
    few = " (fewer than 10 make intervals too narrow)" if runs < FEW_CLUSTERS else ""
    if asked:
        yield f"resampled by {cluster}: {runs} clusters of {len(points)} rows{few}"
        return
    last = last_rows(points.rows, cluster, tokens)
    yield (
        f"{len(points)} rows look like checkpoints of {runs} runs (column '{cluster}'), which are "
        f"not independent: they are resampled by run{few}; "
        + (f"--where '{last}' takes the last of each, " if last else "")
        + "--cluster none takes each as a run"
    )


def resamples(law: Law, points: Points, ends: Ends, settled: tuple[str, ...]) -> Iterator[str]:
    """Notes on a bootstrap; `settled` names parameters without an interval."""
    if len(ends.values) < FEW_RESAMPLES:
        yield f"{len(ends.values)} resamples are few for the ends of an interval: take 1000"
    missed = 1 - ends.certified.mean()
    if missed > 0.01:
        yield f"{missed:.0%} of resamples ended without a certified minimum"
    for at, each in enumerate(law.free):
        held, values = ends.held[:, at], ends.values[:, at]
        least, _ = each.ends({**points.variables, "loss": points.loss})
        low = held & (values <= least + TIGHT * abs(least))
        for end, share in (("lower", low.mean()), ("upper", (held & ~low).mean())):
            if share <= TAIL or each.name in settled:
                continue
            if each.floor and end == "lower":
                yield (
                    f"{each.name} is {least:g} in {share:.0%} of resamples: the runs bound it "
                    "from above only"
                )
            else:
                yield (
                    f"{each.name} is at its {end} bound in {share:.0%} of resamples: its interval "
                    "ends there, and not where the rows end it"
                )
