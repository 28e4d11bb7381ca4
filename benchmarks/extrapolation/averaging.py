"""Average of laws by their rolled score: the family's own law, and freer ones that it is nested in.

    curved        law exp(q u^2),                u = ln(C / least C)
    broken        law exp(k ln(1 + e^(u - b))),  b half-way up the rows
    interaction   E + (A^(1/g) N^(-alpha/g) + B^(1/g) D^(-beta/g))^g, chinchilla at g = 1
    kaplan        the same with g = beta: Kaplan's L(N, D), plus E

Each freer law starts from the plain one's constants. SciPy's least squares with Huber's penalty
fits it to all rows below, and to those of each origin. With K origins and a mean square m^2 of the
errors at the rungs next to them, a law weighs m^-K. The variance is that of the mixture: the
errors, stretched by the distance; the differences of the laws; the bootstrap of the plain one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.optimize import least_squares

from analysis.fitting.bootstrap import spread, student_t
from analysis.fitting.prediction.reach import size_of
from analysis.fitting.prediction.roll import rungs
from benchmarks.extrapolation.evidence import Array, Evidence, Interval, around
from benchmarks.extrapolation.score import LEVEL
from scaling import laws

PRIOR_RUNGS = 3.0  # weight of the residuals beside the rolled rungs
WIDTH = 1e-3  # of Huber's penalty
TRIALS = 40  # steps of a fit
POWERS = (-6.0, 2.0)  # ends of the logs of exponents
NOUGHT = 1e-12  # a constant that vanished
LEAST = float(np.log(1.5))  # e-folds between rungs
Variables = Mapping[str, Array]
Form = Callable[[Array, Variables], Array]  # ln L of the constants and the variables


def averaged(evidence: Evidence) -> Interval:
    """The mixture; the plain law alone where no rung could be rolled."""
    rolled, points = evidence.result.rolled, evidence.result.points
    measured, group = np.log(points.loss), rungs(evidence.compute)
    above, squares = [evidence.value], [[np.mean(each.next_errors**2) for each in rolled]]
    for form, start in _freer(evidence) if rolled else ():

        def fitted(rows: Array, form: Form = form, start: Array = start) -> Array:
            seen = {name: column[rows] for name, column in points.variables.items()}
            found = least_squares(
                lambda theta: form(theta, seen) - measured[rows],
                start, loss="huber", f_scale=WIDTH, x_scale="jac", max_nfev=TRIALS,
            )  # fmt: skip
            return found.x

        errors = []
        for each in rolled:
            off = measured - form(fitted(group < each.rung), points.variables)
            errors.append(np.mean(off[group == each.rung] ** 2))
        above.append(form(fitted(group >= 0), evidence.above))
        squares.append(errors)
    count = len(rolled)
    weight = PRIOR_RUNGS + count
    mean = (PRIOR_RUNGS * evidence.noise**2 + np.sum(squares, axis=1)) / weight
    share = (mean / mean.min()) ** (-count / 2)
    share /= share.sum()
    value = share @ np.array(above)
    apart = max(np.ptp(np.log(evidence.compute)) / max(group.max(), 1), LEAST)
    stretched = share @ mean * np.maximum(1.0, evidence.distance / apart) ** 2
    variance = stretched + share @ (np.array(above) - value) ** 2 + spread(evidence.sampled) ** 2
    return around(value, student_t(LEVEL, weight) * np.sqrt(variance))


def _freer(evidence: Evidence) -> list[tuple[Form, Array]]:
    """Forms and their starts. theta holds the logs of the plain constants, then one more."""
    law, result = evidence.result.law, evidence.result
    names, least = law.parameters, evidence.compute.min()
    middle = np.ptp(np.log(evidence.compute)) / 2
    plain = np.log([max(result.estimates[name], NOUGHT) for name in names])

    def bent(bend: Callable[[float, Array], Array]) -> Form:
        def form(theta: Array, x: Variables) -> Array:
            constants = dict(zip(names, np.exp(theta[:-1]), strict=True))
            return np.log(law.predict(constants, **x)) + bend(theta[-1], np.log(size_of(x) / least))

        return form

    start = np.append(plain, 0.0)
    found = [
        (bent(lambda q, u: q * u**2), start),
        (bent(lambda k, u: k * np.logaddexp(0, u - middle)), start),
    ]
    if law is laws.chinchilla:
        found += [(_interaction, start), (lambda theta, x: _interaction(_kaplan(theta), x), plain)]
    return found


def _interaction(theta: Array, x: Variables) -> Array:
    """theta = ln E, ln A, ln B, ln alpha, ln beta, ln g."""
    log_e, a, b, *logs = theta
    alpha, beta, g = np.exp(np.clip(logs, *POWERS))
    size = (a - alpha * np.log(x["params"])) / g
    data = (b - beta * np.log(x["tokens"])) / g
    return np.logaddexp(log_e, g * np.logaddexp(size, data))


def _kaplan(theta: Array) -> Array:
    return np.append(theta, theta[-1])
