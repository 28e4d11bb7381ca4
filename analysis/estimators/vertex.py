"""Curves through loss profiles by least squares, and their minima.

    parabola   y = least (1 + bend u^2),                    u = x - x*
    skewed     ln y = ln least + bend (u^2 + skew u^3),     one skew for all profiles

The profiles of L = E + A / N^alpha + B / D^beta at constant compute differ in level and scale
alone, and their skew is (beta - alpha) / 3. So the minimum of a skewed curve follows the law to
third order, and all profiles together pay for one more constant. In ln L the term of fourth order,
which both curves lack, is the smaller by -bend^2 u^4 / 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.tables.points import Array

SIZES = 3  # fewer different sizes hold no curve
STEPS, MORE, STILL = 60, 3, 1e-10  # of Gauss-Newton: on the data, on resamples, and its end
RIDGE = 1e-13  # of the normal matrix of one profile
AKIMA_GRID = 400  # places per curve where an interpolation is searched


@dataclass(frozen=True)
class Parabola:
    """R parabolas over the same x; `bend`, `slope` and `level` are (R,)."""

    middle: float
    bend: Array
    slope: Array
    level: Array

    @property
    def vertex(self) -> Array:
        """x* (R,); the place of a maximum where `bend` < 0, and not finite where it is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.middle - self.slope / (2 * self.bend))

    @property
    def least(self) -> Array:
        """y* (R,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.level - self.slope**2 / (4 * self.bend))

    def at(self, x: Array) -> Array:
        """y (R, k) at x (k,)."""
        away = x - self.middle
        return self.level[:, None] + (self.slope[:, None] + self.bend[:, None] * away) * away


def parabola(x: Array, y: Array, weights: Array | None = None) -> Parabola:
    """The parabolas through x (k,) and each row of y (R, k); k of 3 or more different x."""
    root = np.ones(len(x)) if weights is None else np.sqrt(weights)
    middle = float(np.average(x, weights=root**2))
    design = np.vander(x - middle, 3) * root[:, None]
    bend, slope, level = np.linalg.pinv(design) @ (y * root).T
    return Parabola(middle, bend, slope, level)


@dataclass(frozen=True)
class Profiles:
    """B profiles of at most k runs: x (B, k), y (R, B, k) and weights (B, k), 0 where no run is.

    The first of the R is the data, the others are its resamples.
    """

    x: Array
    y: Array
    weights: Array

    @classmethod
    def of(cls, x: Array, y: Array, weights: Array, groups: list[NDArray[np.intp]]) -> Profiles:
        """Profiles of rows: x (n,), y (R, n), weights (n,), and the rows of each."""
        shape = (len(groups), max(map(len, groups)))
        places, heights, held = np.zeros(shape), np.ones((len(y), *shape)), np.zeros(shape)
        for at, rows in enumerate(groups):
            places[at] = x[rows].mean()
            places[at, : len(rows)], held[at, : len(rows)] = x[rows], weights[rows]
            heights[:, at, : len(rows)] = y[:, rows]
        return cls(places, heights, held)

    def sizes(self, at: int) -> Array:
        """The different x of one profile, ascending."""
        return np.unique(self.x[at, self.weights[at] > 0])

    def nearest(self, places: Array, count: int) -> Profiles:
        """The runs at the `count` different x nearest to a place (B,) of each profile."""
        weights = self.weights.copy()
        for at, place in enumerate(places):
            sizes = self.sizes(at)
            near = sizes[np.argsort(np.abs(sizes - place), kind="stable")[:count]]
            weights[at] *= np.isin(self.x[at], near)
        return replace(self, weights=weights)


@dataclass(frozen=True)
class Minima:
    """The curves of B profiles for R sets of y: x*, y* and bend (R, B), skew (R,).

    `misses` (B, k) are the data less its curves as shares of y, 0 where no run is; `constants`
    counts the fitted numbers. Without a curve all are nan.
    """

    place: Array
    least: Array
    bend: Array
    skew: Array
    misses: Array
    constants: int


def parabolas(profiles: Profiles) -> Minima:
    """A parabola for each profile of three sizes or more."""
    count = profiles.y.shape[:2]
    place, least, bend = (np.full(count, np.nan) for _ in range(3))
    misses, constants = np.zeros(profiles.x.shape), 0
    for at, (x, weights) in enumerate(zip(profiles.x, profiles.weights, strict=True)):
        on = weights > 0
        if len(np.unique(x[on])) >= SIZES:
            found = parabola(x[on], profiles.y[:, at, on], weights[on])
            place[:, at], least[:, at] = found.vertex, found.least
            bend[:, at] = found.bend / found.least
            misses[at, on] = 1 - found.at(x[on])[0] / profiles.y[0, at, on]
            constants += 3
    return Minima(place, least, bend, np.zeros(count[0]), misses, constants)


def skewed(profiles: Profiles) -> Minima:
    """Cubics of one skew: Gauss-Newton from the parabolas of the convex profiles.

    Fewer than two sizes beyond three for each profile hold no skew: it is 0.
    """
    first = parabolas(profiles)
    x, known = profiles.x, profiles.weights > 0
    low = np.where(known, x, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, x, -np.inf).max(axis=1, initial=-np.inf)
    reach = (high - low) / 2
    convex = first.bend[0] > 0
    inside = (first.place[0] > low - reach) & (first.place[0] < high + reach)
    usable = convex & inside
    if not usable.any():
        return first
    spare = sum(len(profiles.sizes(int(at))) - SIZES for at in np.flatnonzero(usable))
    free = spare >= 2
    ends = (low - reach)[usable], (high + reach)[usable]
    part = Profiles(x[usable], np.log(profiles.y[:, usable]), profiles.weights[usable])
    level, bent, middle = (each[:1, usable] for each in (first.least, first.bend, first.place))
    start = np.stack([np.log(level), bent, middle], axis=-1)
    own, skew = _descend(part, slice(0, 1), start, np.zeros(1), ends, free, STEPS)
    rest = len(profiles.y) - 1
    others, skews = _descend(
        part, slice(1, None), np.repeat(own, rest, 0), np.repeat(skew, rest), ends, free, MORE
    )
    values = np.concatenate([own, others])
    # a profile without a curve of its own keeps its parabola, which says why
    least, bend, place = first.least.copy(), first.bend.copy(), first.place.copy()
    levels, bend[:, usable], place[:, usable] = np.moveaxis(values, -1, 0)
    least[:, usable] = np.exp(levels)
    misses = first.misses.copy()
    u = part.x - own[0, :, 2, None]
    curve = own[0, :, 0, None] + own[0, :, 1, None] * (u**2 + skew[0] * u**3)
    misses[usable] = np.where(part.weights > 0, part.y[0] - curve, 0.0)
    constants = first.constants + int(free)
    return Minima(place, least, bend, np.concatenate([skew, skews]), misses, constants)


def _descend(
    profiles: Profiles, chosen: slice, values: Array, skew: Array, ends: tuple[Array, Array],
    free: bool, steps: int,
) -> tuple[Array, Array]:  # fmt: skip
    """Gauss-Newton on (ln least, bend, x*) (R, B, 3) and skew (R,), of profiles of ln y.

    The normal matrix is an arrow: the three of each profile are eliminated, which leaves one
    equation for the skew.
    """
    y, weights = profiles.y[chosen], profiles.weights
    low, high = ends
    for _ in range(steps if len(y) else 0):
        least, bend, place = np.moveaxis(values[..., None], -2, 0)
        u = profiles.x - place
        s = skew[:, None, None]
        square = u * u
        shape, slope = square * (1 + s * u), -bend * (2 * u + 3 * s * square)
        own = np.stack([np.ones_like(u), shape, slope], axis=-1)  # (R, B, k, 3)
        left, shared = y - least - bend * shape, bend * u * square
        weighted = np.swapaxes(own * weights[..., None], -1, -2)
        normal = weighted @ own
        normal += RIDGE * np.trace(normal, axis1=-2, axis2=-1)[..., None, None] * np.eye(3)
        right = weighted @ np.stack([left, shared], axis=-1)
        solved = np.linalg.solve(normal, right)
        toward, across = solved[..., 0], solved[..., 1]
        push = np.zeros(len(y))
        if free:
            rate = (weights * shared**2).sum(axis=(1, 2)) - (right[..., 1] * across).sum((1, 2))
            gain = (weights * shared * left).sum(axis=(1, 2)) - (right[..., 1] * toward).sum((1, 2))
            push = gain / rate
        step = toward - across * push[:, None, None]
        values = values + step
        values[..., 2] = np.clip(values[..., 2], low, high)
        skew = skew + push
        if np.abs(step[..., 2]).max() < STILL:
            break
    return values, skew


def akima(profiles: Profiles) -> Minima:
    """An Akima interpolation of ln y through the best run of each size."""
    count = profiles.y.shape[:2]
    place, least = np.full(count, np.nan), np.full(count, np.nan)
    nothing = np.full(count, np.nan)
    for at, (x, weights) in enumerate(zip(profiles.x, profiles.weights, strict=True)):
        on = weights > 0
        if len(np.unique(x[on])) >= SIZES:
            sizes, through = _akima_curves(x[on], profiles.y[:, at, on])
            grid = np.linspace(sizes[0], sizes[-1], AKIMA_GRID + 1)
            curves = through(grid)
            lowest = curves.argmin(axis=1)
            place[:, at] = grid[lowest]
            least[:, at] = np.exp(curves[np.arange(len(curves)), lowest])
    return Minima(place, least, nothing, nothing[:, 0], np.zeros(profiles.x.shape), 0)


def _akima_curves(x: Array, y: Array) -> tuple[Array, Callable[[Array], Array]]:
    """The different sizes, and ln y (R, m) through the best run of each."""
    from scipy.interpolate import Akima1DInterpolator

    sizes, of = np.unique(x, return_inverse=True)
    best = np.stack([y[:, of == each].min(axis=1) for each in range(len(sizes))], axis=1)
    return sizes, Akima1DInterpolator(sizes, np.log(best), axis=1)


def _parabola_at(optimum: Mapping[str, Any], x: Array, y: Array, places: Array) -> Array:
    u = places - np.log(optimum["params"])
    return np.asarray(optimum["loss"] * (1 + optimum["bend"] * u**2))


def _skewed_at(optimum: Mapping[str, Any], x: Array, y: Array, places: Array) -> Array:
    u = places - np.log(optimum["params"])
    cubic = optimum["bend"] * (u**2 + optimum["skew"] * u**3)
    return np.asarray(optimum["loss"] * np.exp(cubic))


def _akima_at(optimum: Mapping[str, Any], x: Array, y: Array, places: Array) -> Array:
    return np.asarray(np.exp(_akima_curves(x, y[None])[1](places)[0]))


@dataclass(frozen=True)
class CurveKind:
    """A kind of curve through profiles.

    Attributes:
        fit: its minima.
        at: (row of `Frontier.optima`, x (k,), y (k,), places (m,)) -> the curve (m,), for figures.
        exact: True where it passes through its runs, which then show no noise.
        centred: True where an optimum off the middle of its grid moves the minimum.
        floor: the least error that such a minimum can have, in spacings of x.
    """

    fit: Callable[[Profiles], Minima]
    at: Callable[[Mapping[str, Any], Array, Array, Array], Array]
    exact: bool = False
    centred: bool = False
    floor: float = 0.0


CURVES: Mapping[str, CurveKind] = {
    "skewed": CurveKind(skewed, _skewed_at),
    "parabola": CurveKind(parabolas, _parabola_at, centred=True),
    # Akima minima cluster at the sizes that were run (Porian et al.)
    "akima": CurveKind(akima, _akima_at, exact=True, floor=1 / 3),
}
