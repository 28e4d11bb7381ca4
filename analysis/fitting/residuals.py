"""Residuals that are not noise: five tests of the shape of a fitted law, and rows that rise.

Noise that is independent from run to run and symmetric gives terms t_g the signs of fair coins,
whatever their sizes. So heavy tails, and noise that changes with scale, raise no alarm:

    z = sum_g t_g / sqrt(sum_g t_g^2),   P(z >= s) <= 3.18 (1 - Phi(s))

(Bentkus and Dzindzalieta 2015, Bernoulli 21). t are products of neighbours along a variable, or
residuals times a curvature that the law cannot make; those of one run are summed first. Wald and
Wolfowitz's test counts stretches of one sign, and an F test compares the scatter with that of
repeats. A few rows have too few signs for that: von Neumann's ratio of their second differences to
their residuals is compared with that of simulated noise. The nominal chance of any false alarm is
`ALARM`, shared out among the tests made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.identifiability import sensitivities
from analysis.tables.columns import listed
from analysis.tables.points import TIGHT, Array, Points
from scaling.laws import Law

ALARM = 1e-2  # nominal chance that clean rows are called a misfit, all tests here together
COINS = 3.18  # the constant of the bound above
FAR = 3.0  # robust standard deviations at which residuals are clipped
NEW = 1e-6  # share of a curvature that the law must be unable to make
LEAST = 6  # values of a variable, to see a rise
RISE = 6.0  # in standard deviations of a row: noise climbs less in 99.7 % of flat curves
FEW, DRAWS, SWING = 20, 4000, 10.0  # rows, simulated noises, and by how much these grow or fall
FOLLOWS = 0.5  # share of a rise that a law which can rise makes too


@dataclass(frozen=True)
class ResidualTest:
    """A test of residuals: its chance under noise, what it saw, and in which order of the rows."""

    chance: float
    says: str
    order: NDArray[np.intp]


@dataclass(frozen=True)
class Rise:
    """Rows of one variable that rise: between which values, and by how much in log loss."""

    low: float
    high: float
    size: float
    followed: bool  # the fitted law rises there too

    def __str__(self) -> str:
        end = "and so does the fitted law" if self.followed else "and no falling law fits that"
        return (
            f"from {self.low:.4g} to {self.high:.4g}, by {100 * np.expm1(self.size):.3g} %, {end}"
        )


def misfit(
    law: Law, points: Points, estimates: Mapping[str, float], still: tuple[str, ...],
    together: NDArray[np.intp],
) -> list[str]:  # fmt: skip
    """A line for each test that the residuals fail, and one with the rows and the remedy; nothing
    where they look like noise. `still` names parameters that the rows do not move, and `together`
    the run of each row."""
    if any(values.ndim != 1 for values in points.variables.values()):
        return []
    fitted = law.predict(estimates, **points.variables)
    raw = np.log(points.loss) - np.log(fitted)
    if np.abs(raw).max() < TIGHT:  # rounding
        return []
    moving = [at for at, name in enumerate(law.parameters) if name not in still]
    tangent = np.nan_to_num(sensitivities(law, points, estimates)[:, moving])
    root = np.sqrt(points.weights / points.weights.mean())
    clean, leverage, basis = _without(tangent * root[:, None], root * _clipped(raw))
    tests = [
        test
        for name, axis, order in _axes(points, fitted)
        for test in (
            _neighbours(name, order, clean, together),
            _stretches(name, axis, raw, together),
            _smoothness(name, axis, order, raw, points.weights, basis, together),
        )
        if test is not None
    ]
    for name, values in points.variables.items():
        tests += _curvature(name, np.log(values), clean, root, leverage, basis, together)
    tests += _against_repeats(points, raw, len(moving))
    failed = [test for test in tests if test.chance < ALARM / len(tests)]
    if not failed:
        return []
    worst = min(failed, key=lambda test: test.chance)
    return [*(f"lack of fit: {test.says}" for test in failed), _remedy(points, raw, worst)]


def rise(points: Points, fitted: Array) -> Rise | None:
    """The largest climb of the loss along the variable of a law of one, where it is more than
    noise: of running medians of three, against the scatter of second differences. A peak of three
    rows or fewer is not told from outliers."""
    if len(points.variables) != 1 or points.log_x.ndim != 2:
        return None
    x, which = np.unique(points.log_x[0].round(9), return_inverse=True)
    if len(x) < LEAST:
        return None
    count = np.bincount(which)
    loss, model = (np.bincount(which, np.log(each)) / count for each in (points.loss, fitted))
    noise = 1.4826 * float(np.median(np.abs(_bends(x, loss))))  # a peak bends few rows
    calm = np.median([loss[:-2], loss[1:-1], loss[2:]], axis=0)
    high = int(np.argmax(calm - np.minimum.accumulate(calm)))
    low = int(np.argmin(calm[: high + 1]))
    size = float(calm[high] - calm[low])
    if size <= max(RISE * noise, TIGHT):
        return None
    followed = model[high + 1] - model[low + 1] > FOLLOWS * size
    return Rise(float(np.exp(x[low + 1])), float(np.exp(x[high + 1])), size, bool(followed))


def _bends(x: Array, y: Array) -> Array:
    """Distances of rows from the line through their two neighbours, of a row's own noise in size:
    e_i - p e_(i-1) - q e_(i+1) has the variance 1 + p^2 + q^2."""
    share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    off = y[1:-1] - (1 - share) * y[:-2] - share * y[2:]
    return off / np.sqrt(1 + share**2 + (1 - share) ** 2)


def _clipped(residuals: Array) -> Array:
    middle = float(np.median(residuals))
    far = FAR * 1.4826 * float(np.median(np.abs(residuals - middle)))
    return np.clip(residuals - middle, -far, far) if far > 0 else residuals - middle


def _without(tangent: Array, residuals: Array) -> tuple[Array, Array, Array]:
    """Residuals less what a change of the parameters would explain, the leverage of each row, and
    an orthonormal basis of those changes."""
    size = np.linalg.norm(tangent, axis=0)
    scaled = tangent[:, size > 0] / size[size > 0]
    basis, strength, _ = np.linalg.svd(scaled, full_matrices=False)
    basis = basis[:, strength > TIGHT * max(strength.max(initial=0.0), TIGHT)]
    return residuals - basis @ (basis.T @ residuals), np.sum(basis**2, axis=1), basis


def _axes(points: Points, fitted: Array) -> Iterator[tuple[str, Array, NDArray[np.intp]]]:
    """Axes along which rows are neighbours, and their order: ties go by the other variables."""
    logs = {name: np.log(values) for name, values in points.variables.items()}
    if len(logs) > 1:
        logs["the fitted loss"] = np.log(fitted)
    for name, axis in logs.items():
        others = [each for other, each in logs.items() if other != name]
        yield name, axis, np.lexsort((*others, axis.round(9)))


def _chance(terms: Array) -> float:
    """The bound on the chance of z."""
    from scipy.special import ndtr

    size = float(np.sqrt(np.sum(terms**2)))
    z = float(np.sum(terms)) / size if size > 0 else 0.0
    return min(1.0, COINS * float(ndtr(-z)))


def _neighbours(
    name: str, order: NDArray[np.intp], residuals: Array, together: NDArray[np.intp]
) -> ResidualTest | None:
    """Products of neighbours; those of one pair of runs are one term, those of one run none."""
    first, second = order[:-1], order[1:]
    pairs = np.sort([together[first], together[second]], axis=0)
    apart = pairs[0] != pairs[1]
    if np.count_nonzero(apart) < 3 or not np.any(residuals):
        return None
    products = (residuals[first] * residuals[second])[apart]
    which = np.unique(pairs[:, apart], axis=1, return_inverse=True)[1].ravel()
    chance = _chance(np.bincount(which, products).astype(np.float64))
    alike = float(np.sum(products) / np.sum(residuals**2))
    return ResidualTest(
        chance, f"neighbours along {name} have like residuals (correlation {alike:.2f})", order
    )


def _stretches(
    name: str, axis: Array, residuals: Array, together: NDArray[np.intp]
) -> ResidualTest | None:
    """Wald and Wolfowitz's count of stretches of one sign, normal with a half added. Rows of one
    run, then rows at one value, count once, by their mean."""
    from scipy.special import ndtr

    count = np.bincount(together)
    runs, where = (np.bincount(together, each) / count for each in (residuals, axis))
    which = np.unique(where.round(9), return_inverse=True)[1]
    signs = np.sign(np.bincount(which, runs) / np.bincount(which))
    signs = signs[signs != 0]
    up, down = np.count_nonzero(signs > 0), np.count_nonzero(signs < 0)
    if min(up, down) == 0 or up + down < 3:
        return None
    found = 1 + int(np.count_nonzero(np.diff(signs)))
    mean = 1 + 2 * up * down / (up + down)
    spread = float(np.sqrt((mean - 1) * (mean - 2) / (up + down - 1)))
    return ResidualTest(
        float(ndtr((found + 0.5 - mean) / spread)) if spread > 0 else 1.0,
        f"residuals keep one sign over long stretches of {name} ({found} stretches in "
        f"{signs.size} values, {mean:.0f} by chance)",
        np.argsort(axis, kind="stable"),
    )


def _smoothness(
    name: str, axis: Array, order: NDArray[np.intp], residuals: Array, weights: Array, basis: Array,
    together: NDArray[np.intp],
) -> ResidualTest | None:  # fmt: skip
    """Von Neumann's ratio: the mean square of second differences of a row's own noise in size, over
    that of residuals. 1 for noise, small for a smooth curve; its chance is the largest under noise
    of one size, and under noise that grows or falls by `SWING` along the axis."""
    x, basis, rows = axis[order], basis[order], len(axis)
    alone = len(np.unique(together)) == rows and np.ptp(weights) == 0
    if not alone or not basis.shape[1] + 3 <= rows <= FEW or np.diff(x).min() < TIGHT:
        return None
    bend = np.stack([_bends(x, each) for each in np.eye(rows)])

    def ratio(noise: Array) -> Array:
        left = noise - noise @ basis @ basis.T
        return np.asarray(np.mean((left @ bend) ** 2, axis=-1) / np.mean(left**2, axis=-1))

    found, growing = ratio(residuals[order]), np.geomspace(1, SWING, rows)
    drawn = np.random.default_rng(0).normal(size=(DRAWS, rows))
    below = max(
        np.count_nonzero(ratio(drawn * each) <= found)
        for each in (np.ones(rows), growing, growing[::-1])
    )
    return ResidualTest(
        (1 + below) / (1 + DRAWS),
        f"residuals follow a smooth curve of {name} (their second differences have {found:.2g} of "
        "the mean square of noise of their size)",
        order,
    )


def _curvature(
    name: str, axis: Array, residuals: Array, root: Array, leverage: Array, basis: Array,
    together: NDArray[np.intp],
) -> Iterator[ResidualTest]:  # fmt: skip
    """The law times exp(c (ln x)^2), to first order in c, against the law."""
    bend = root * (axis - axis.mean()) ** 2
    left = bend - basis @ (basis.T @ bend)
    rows, constants = len(axis), basis.shape[1] + 1
    if np.sum(left**2) <= NEW * np.sum(bend**2) or rows <= constants + 3:
        return
    inflated = residuals / np.maximum(1 - leverage, 1 / rows)  # HC3: fits shrink residuals
    terms = np.bincount(together, left * inflated)
    chance = _chance(np.sign(terms.sum()) * terms)
    before = float(np.sum(residuals**2))
    after = before - float(left @ residuals) ** 2 / float(left @ left)
    if not 0 < after < before:
        return

    def penalty(numbers: int) -> float:
        return 2 * numbers + 2 * numbers * (numbers + 1) / (rows - numbers - 1)

    gain = rows * np.log(before / after) - penalty(constants + 1) + penalty(constants)
    yield ResidualTest(
        min(1.0, 2 * chance) if gain > 0 else 1.0,
        f"the rows curve along {name}: one more constant for that lowers AICc by {gain:.3g}",
        np.argsort(axis, kind="stable"),
    )


def _against_repeats(points: Points, residuals: Array, parameters: int) -> Iterator[ResidualTest]:
    """The scatter of settings about the law, against that of repeats of one setting."""
    from scipy.special import fdtrc

    seen, first = np.unique(
        np.vstack([points.log_x, residuals]).round(12), axis=1, return_index=True
    )
    settings, which = np.unique(seen[:-1], axis=1, return_inverse=True)
    which, left = which.ravel(), seen[-1]
    means = np.bincount(which, left) / np.bincount(which)
    within = float(np.sum((left - means[which]) ** 2))
    repeats, freedom = left.size - settings.shape[1], settings.shape[1] - parameters
    if repeats < 2 or freedom < 1 or within <= 0:
        return
    noise = within / repeats
    between = max(0.0, float(np.sum(left**2)) - within) / freedom
    yield ResidualTest(
        float(fdtrc(freedom, repeats, between / noise)),
        f"rms about the law {100 * np.sqrt(np.mean(left**2)):.2g} %, between repeats of one "
        f"setting {100 * np.sqrt(noise):.2g} %",
        first[np.lexsort((which,))],
    )


def _remedy(points: Points, residuals: Array, test: ResidualTest) -> str:
    """The stretch of rows whose residuals sum up furthest, and two ways out."""
    walk = np.concatenate([[0.0], np.cumsum(residuals[test.order] - residuals.mean())])
    start, end = sorted((int(np.argmin(walk)), int(np.argmax(walk))))
    rows = test.order[start:end]
    off = 100 * float(np.expm1(np.mean(residuals[rows])))
    labels = [points.labels[at] for at in rows]
    return (
        f"misfit: {len(rows)} rows ({listed(labels)}) lie {off:+.2g} % off the law on average: it "
        "has another shape than these rows. Choose rows of one regime with --where, or a law that "
        "bends as they do (windtunnel compare)"
    )
