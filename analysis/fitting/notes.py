"""Notes of a fit: bounds and their side, lack of fit, and resamples that are too few.

Lack of fit shows in two ways. Residuals of a law of the right shape change sign as coins fall:
Wald and Wolfowitz's test counts the runs of one sign along each variable. Repeats of one setting
give the noise of a run: an F test compares the scatter about the law with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from analysis.fitting.solvers.engine import Ends
from analysis.tables.points import TIGHT, Array, Points
from scaling.common.errors import UserError
from scaling.laws import Law, Parameter

FEW_RUNS, SCATTER = 1e-2, 1e-3  # nominal chances of a false alarm; a fit makes runs more, not fewer
FEW_CLUSTERS, FEW_RESAMPLES = 10, 100
STANDARD_ERRORS = 2.0  # of a slope, beyond which the loss rises


def check_floor(law: Law, points: Points) -> None:
    """Refuse a given floor that some rows lie below."""
    floor = law.fixed.get(law.constant or "", 0.0)
    below = np.flatnonzero(points.loss <= floor)
    if below.size:
        lowest = below[np.argmin(points.loss[below])]
        raise UserError(
            f"{law.constant} = {floor:g} is a floor that no run can reach, and {below.size} of "
            f"{len(points)} rows lie at or below it (lowest: {points.labels[lowest]}, "
            f"{points.loss[lowest]:g}): give a lower one, or leave it free"
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
    low = value <= each.low * (1 + TIGHT) + TIGHT * (each.low == 0)
    if each.floor and low:
        return (
            f"{each.name} = {each.low:g} fits best: these runs show no floor, and the true one may "
            "lie anywhere below the losses seen"
        )
    end, limit = ("lower", each.low) if low else ("upper", each.high)
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


def lack_of_fit(points: Points, residuals: Array, parameters: int) -> Iterator[str]:
    """A line for each test that the residuals fail."""
    along = {name: np.log(values) for name, values in points.variables.items() if values.ndim == 1}
    if len(along) > 1:
        along["the fitted loss"] = np.log(points.loss) - residuals
    for name, axis in along.items():
        signs = _signs(axis, residuals)
        runs = 1 + int(np.count_nonzero(np.diff(signs)))
        expected, chance = _runs_test(signs, runs)
        if chance < FEW_RUNS:
            yield (
                f"lack of fit: residuals keep one sign over long stretches of {name} "
                f"({runs} stretches in {signs.size} values, {expected:.0f} by chance): the law has "
                "another shape than these rows"
            )
    yield from _against_repeats(points, residuals, parameters)


def _signs(axis: Array, residuals: Array) -> Array:
    """Signs of the residuals along an axis, of their mean where values repeat; zeros left out."""
    order = np.argsort(axis, kind="stable")
    first = np.flatnonzero(np.concatenate([[True], np.diff(axis[order]) > TIGHT]))
    counts = np.diff([*first, len(axis)])
    means = np.add.reduceat(residuals[order], first) / counts
    signs = np.sign(means)
    return signs[signs != 0]


def _runs_test(signs: Array, runs: int) -> tuple[float, float]:
    """The expected number of runs, and the chance of as few, normal with a half added."""
    from scipy.special import ndtr

    up, down = np.count_nonzero(signs > 0), np.count_nonzero(signs < 0)
    if min(up, down) == 0 or up + down < 3:
        return float(runs), 1.0
    mean = 1 + 2 * up * down / (up + down)
    spread = np.sqrt((mean - 1) * (mean - 2) / (up + down - 1))
    return mean, float(ndtr((runs + 0.5 - mean) / spread)) if spread > 0 else 1.0


def _against_repeats(points: Points, residuals: Array, parameters: int) -> Iterator[str]:
    from scipy.special import fdtrc

    if any(values.ndim != 1 for values in points.variables.values()):
        return
    seen = np.unique(np.vstack([points.log_x, residuals]).round(12), axis=1)
    settings, which = np.unique(seen[:-1], axis=1, return_inverse=True)
    which, left = which.ravel(), seen[-1]
    means = np.bincount(which, left) / np.bincount(which)
    within = float(np.sum((left - means[which]) ** 2))
    repeats, freedom = left.size - settings.shape[1], settings.shape[1] - parameters
    if repeats < 2 or freedom < 1 or within <= 0:
        return
    between = max(0.0, float(np.sum(left**2)) - within) / freedom
    noise = within / repeats
    if fdtrc(freedom, repeats, between / noise) < SCATTER:
        yield (
            f"lack of fit: rms about the law {100 * np.sqrt(np.mean(left**2)):.2g} %, between "
            f"repeats of one setting {100 * np.sqrt(noise):.2g} %"
        )


def resamples(
    law: Law, ends: Ends, settled: tuple[str, ...], cluster: str | None, groups: int, rows: int
) -> Iterator[str]:
    """Notes on a bootstrap; `settled` names parameters without an interval."""
    if cluster is not None:
        few = " (fewer than 10 make intervals too narrow)" if groups < FEW_CLUSTERS else ""
        yield f"resampled by {cluster}: {groups} clusters of {rows} rows{few}"
    if len(ends.values) < FEW_RESAMPLES:
        yield f"{len(ends.values)} resamples are few for the ends of an interval: take 1000"
    missed = 1 - ends.certified.mean()
    if missed > 0.01:
        yield f"{missed:.0%} of resamples ended without a certified minimum"
    if law.constant in law.parameters and law.constant not in settled:
        zero = float((ends.values[:, law.parameters.index(law.constant)] == 0).mean())
        if zero > 0.025:
            yield (
                f"{law.constant} is 0 in {zero:.0%} of resamples: the runs bound it from above only"
            )
