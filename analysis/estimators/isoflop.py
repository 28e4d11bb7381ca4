"""The compute-optimal size and data, N*(C) = G C^a and D*(C) = G C^b, without a law of the loss.

`envelope` is Approach 1 of Hoffmann et al. 2022 (arXiv 2203.15556): the best of all training curves
at each budget. `isoflop` is Approach 2: at each budget the vertex of a parabola of the loss in
ln N, or the minimum of an Akima interpolation (Porian et al. 2024, arXiv 2406.19146).

A parabola follows the loss to second order alone. Where L = E + A / N^alpha + B / D^beta, sizes
evenly spaced in ln N over -w .. w about a middle that lies s above the optimum put its vertex at

    ln N_vertex - ln N* = (beta - alpha) (s^2 / 2 - w^2 / 10)
                          + (alpha^2 - alpha beta + beta^2) s (s^2 / 3 - w^2 / 35) + ...

which is the same at every budget, and leaves the exponent alone, only while s and w are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.types import LEVEL
from analysis.tables.points import Array, numbers, row_labels
from scaling.common.errors import UserError, nearest
from scaling.laws.allocation import params_allocation, tokens_allocation

if TYPE_CHECKING:
    import pandas as pd

    from scaling.laws import Law

SIZES = 3  # fewer different sizes hold no curve
OFF_CENTRE = 0.5  # share of the half-width of a grid by which its optimum may miss its middle
FLAT = 0.5  # share of the half-width that the error of an optimum may take
NARROW = 3.0  # a grid whose largest size is less than this many times its smallest
SCATTER = 3.0  # optima this many times their errors off the power law belie the errors
AKIMA_GRID = 400  # places per curve where an interpolation is searched


@dataclass(frozen=True)
class PowerLaw:
    """G C^power, as `law` names it, and the same of every resample: ln G and the power, (R, 2)."""

    law: Law
    values: Mapping[str, float]
    samples: Array

    @property
    def exponent(self) -> float:
        return self.values[self.law.parameters[1]]

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Percentile interval of the exponent."""
        if not len(self.samples):
            raise UserError("no interval, for there were no resamples: give bootstrap=1000")
        low, high = percentile_interval(self.samples[:, 1], level)
        return float(low), float(high)

    def predict(self, flops: ArrayLike, level: float = LEVEL) -> tuple[Array, Array, Array]:
        """(value, low, high) at a budget; nan ends without resamples."""
        value = self.law.predict(self.values, flops=flops)
        if not len(self.samples):
            return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
        logs = np.log(np.asarray(flops, np.float64))
        intercept, slope = (column.reshape(-1, *[1] * logs.ndim) for column in self.samples.T)
        low, high = percentile_interval(intercept + slope * logs, level)
        return value, np.exp(low), np.exp(high)


@dataclass(frozen=True)
class Frontier:
    """The power laws, and in `optima` one row per budget: flops, the params, tokens and loss of
    the optimum, and whether it is `used`. From `isoflop` also sizes (how many different ones),
    params_error and tokens_error (standard deviations of the logarithms) and why it is not used.
    """

    params: PowerLaw
    tokens: PowerLaw
    optima: pd.DataFrame
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Curve:
    """minimum(x (k,), losses (R, k)) -> the x and the loss of the minimum (R,), nan where none lies
    within the x; and the least error that such a minimum can have, in spacings of x."""

    minimum: Callable[[Array, Array], tuple[Array, Array]]
    floor: float


def isoflop(
    table: pd.DataFrame,
    *,
    loss: str = "loss",
    params: str = "params_total",
    tokens: str = "tokens",
    flops: str = "flops_6nd",
    budget: str | None = None,
    tolerance: float = 0.1,
    curve: Literal["parabola", "akima"] = "parabola",
    noise: float | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Frontier:
    """Approach 2. A budget is one value of the column `budget`, or rows whose FLOPs follow each
    other within `tolerance` in their logarithm.

    Every resample adds Gaussian noise to ln loss and seeks all minima again, so each optimum has
    an error; the power laws weigh the optima by 1 / error^2. `noise` is the standard deviation of
    ln loss from run to run; without it, that of the residuals of all parabolas. `bootstrap=0`
    gives equal weights and no intervals. Where several runs share a size, the parabola takes all
    of them and Akima the best.

    Optima at the edge of their grid are censored: they are left out, and `.warnings` says so.
    Raises UserError where fewer than two budgets have an optimum.
    """
    if curve not in CURVES:
        raise UserError(f"curve='{curve}': {nearest(curve, CURVES)}")
    read = _read(table, (loss, params, tokens, flops), bootstrap)
    groups = _groups(table, read[flops], budget, tolerance)
    warnings: list[str] = []
    spread = _pooled_noise(read[params], read[loss], groups) if noise is None else noise
    if np.isnan(spread) and bootstrap:
        warnings.append(
            "no budget has more than three sizes, so nothing shows the noise: give noise=, the "
            "standard deviation of ln loss from run to run"
        )
    resamples = 0 if np.isnan(spread) else bootstrap

    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    drawn: list[Array] = []
    for rows_of in groups:
        x = np.log(np.stack([read[params][rows_of], read[tokens][rows_of]]))
        kicks = rng.standard_normal((resamples, len(rows_of))) * (spread if resamples else 0.0)
        losses = read[loss][rows_of] * np.exp(np.vstack([np.zeros(len(rows_of)), kicks]))
        row, minima = _optimum(x, losses, CURVES[curve])
        row["flops"] = float(np.exp(np.log(read[flops][rows_of]).mean()))
        rows.append(row)
        drawn.append(minima)
        warnings += _warnings(row, x[0])
    return _frontier(rows, drawn, warnings)


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
    """Approach 1: rows are points of training curves, smooth already. At log-spaced budgets every
    curve is interpolated (ln loss in ln FLOPs, never beyond its ends) and the lowest gives N* and
    D*. Resamples draw whole runs.

    A budget counts where the best size is neither the smallest nor the largest that reached it,
    and at least three did. A run whose learning rate has not decayed by then lies too high: give
    curves of several horizons per size, as the paper does, or none that is far from its end.
    """
    import pandas as pd

    read = _read(table, (loss, params, tokens, flops), bootstrap)
    read = {name: np.log(values) for name, values in read.items()}
    members = _groups(table, read[flops], run, 0.0)
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
    warnings = []
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
            _line(grid[on], values[at[on], np.flatnonzero(on)], np.ones(on.sum()))
            for at, on, _ in found
            if on.sum() >= 2
        ]
        laws.append(_power_law(law, np.array(lines)))
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
    """Per budget: the lowest of the runs present, whether it lies between other sizes, and whether
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


def _read(table: pd.DataFrame, columns: tuple[str, ...], bootstrap: int) -> dict[str, Array]:
    if len(table) == 0:
        raise UserError("the table has no rows")
    if bootstrap < 0:
        raise UserError(f"bootstrap={bootstrap}: the number of resamples cannot be negative")
    labels = row_labels(table)
    return {name: numbers(table, name, labels) for name in columns}


def _groups(
    table: pd.DataFrame, flops: Array, column: str | None, tolerance: float
) -> list[NDArray[np.intp]]:
    """The rows of each value of a column, or of each cluster of FLOPs; little compute first."""
    order = np.argsort(flops, kind="stable")
    if column is None:
        steps = np.diff(np.log(flops[order])) > tolerance
        return np.split(order, np.flatnonzero(steps) + 1)
    if column not in table.columns:
        known = map(str, table.columns)
        raise UserError(f"the table has no column '{column}': {nearest(column, known)}")
    values = table[column].astype(str).to_numpy()[order]
    return [order[values == value] for value in dict.fromkeys(values)]


def _pooled_noise(sizes: Array, losses: Array, groups: list[NDArray[np.intp]]) -> float:
    """The standard deviation of ln loss about the parabolas of all budgets; nan where none has
    more runs than a parabola has coefficients."""
    squares, freedom = 0.0, 0
    for rows_of in groups:
        x = np.log(sizes[rows_of])
        if len(np.unique(x)) > SIZES:
            basis = np.vander(x - x.mean(), 3)
            y = losses[rows_of]
            left = (y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]) / y
            squares += float(left @ left)
            freedom += len(x) - 3
    return (squares / freedom) ** 0.5 if freedom else float("nan")


def _parabola(x: Array, losses: Array) -> tuple[Array, Array]:
    middle = x.mean()
    bend, slope, level = np.linalg.pinv(np.vander(x - middle, 3)) @ losses.T
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = -slope / (2 * bend)
        inside = (bend > 0) & (middle + vertex >= x.min()) & (middle + vertex <= x.max())
        value = level + slope * vertex / 2
    return np.where(inside, middle + vertex, np.nan), np.where(inside, value, np.nan)


def _akima(x: Array, losses: Array) -> tuple[Array, Array]:
    from scipy.interpolate import Akima1DInterpolator

    sizes, of = np.unique(x, return_inverse=True)
    best = np.stack([losses[:, of == each].min(axis=1) for each in range(len(sizes))], axis=1)
    grid = np.linspace(sizes[0], sizes[-1], AKIMA_GRID + 1)
    curves = Akima1DInterpolator(sizes, np.log(best), axis=1)(grid)
    lowest = curves.argmin(axis=1)
    inside = (lowest > 0) & (lowest < AKIMA_GRID)
    value = np.exp(curves[np.arange(len(curves)), lowest])
    return np.where(inside, grid[lowest], np.nan), np.where(inside, value, np.nan)


CURVES = {
    "parabola": Curve(_parabola, floor=0.0),
    "akima": Curve(_akima, floor=1 / 3),  # it dwells at the sizes that were run (Porian et al.)
}


def _optimum(x: Array, losses: Array, curve: Curve) -> tuple[dict[str, Any], Array]:
    """One budget: its row of `optima` without flops, and ln N* and ln D* of the data and of every
    resample, (2, 1 + R). The first of `losses` (1 + R, k) is the data."""
    row: dict[str, Any] = {
        "flops": np.nan, "sizes": len(np.unique(x[0])), "params": np.nan, "params_error": np.nan,
        "tokens": np.nan, "tokens_error": np.nan, "loss": np.nan, "used": False, "why": "",
    }  # fmt: skip
    nothing = np.full((2, len(losses)), np.nan)
    if row["sizes"] < SIZES:
        row["why"] = f"{row['sizes']} sizes, and a curve needs {SIZES}"
        return row, nothing
    at = x[0][losses[0].argmin()]
    if at in (x[0].min(), x[0].max()):
        side = "smallest" if at == x[0].min() else "largest"
        row["why"] = f"the {side} size is the best: the optimum lies at or beyond the edge"
        return row, nothing
    (log_params, value), (log_tokens, _) = (curve.minimum(each, losses) for each in x)
    minima = np.stack([log_params, log_tokens])
    if np.isnan(minima[:, 0]).any():
        row["why"] = "the curve has no minimum between the sizes: not convex, or at the edge"
        return row, nothing
    resamples = minima[:, 1:]
    errors = np.full(2, np.nan)
    if resamples.shape[1]:
        inside = np.isfinite(resamples)
        if (inside.mean(axis=1) < 0.5).any():
            row["why"] = "noise moves the minimum beyond the edge in most resamples"
            return row, nothing
        spacing = np.ptp(x, axis=1) / (row["sizes"] - 1)
        # minima beyond the edge are unseen: as many as they are, so much wider is the error
        seen = np.nanstd(resamples, axis=1) / inside.mean(axis=1)
        errors = np.maximum(seen, curve.floor * spacing)
    row |= {
        "params": float(np.exp(minima[0, 0])), "params_error": float(errors[0]),
        "tokens": float(np.exp(minima[1, 0])), "tokens_error": float(errors[1]),
        "loss": float(value[0]), "used": True,
    }  # fmt: skip
    return row, minima


def _warnings(row: Mapping[str, Any], x: Array) -> list[str]:
    name = f"budget {row['flops']:.3g}"
    if not row["used"]:
        return [f"{name} left out: {row['why']}"]
    found = []
    half, off = np.ptp(x) / 2, np.log(row["params"]) - (x.min() + x.max()) / 2
    if abs(off) > OFF_CENTRE * half:
        side = "above" if off > 0 else "below"
        found.append(
            f"{name}: off-centre grid, the optimum lies {abs(off) / half:.0%} of its half-width "
            f"{side} the middle; a drift of this with compute biases the exponent"
        )
    if 2 * half < np.log(NARROW):
        found.append(
            f"{name}: narrow grid, sizes span a factor {np.exp(2 * half):.2g}; the curvature rests "
            "on noise"
        )
    if row["params_error"] > FLAT * half:
        found.append(
            f"{name}: flat, noise moves the optimum by {row['params_error'] / half:.0%} of the "
            "half-width of its grid"
        )
    return found


def _frontier(rows: list[dict[str, Any]], minima: list[Array], warnings: list[str]) -> Frontier:
    import pandas as pd

    optima = pd.DataFrame(rows)
    used = optima["used"].to_numpy()
    if used.sum() < 2:
        raise UserError(
            f"{int(used.sum())} of {len(rows)} budgets have an optimum, and a power law needs 2: "
            + "; ".join(warnings)
        )
    logs = np.log(optima["flops"].to_numpy()[used])
    stacked = np.stack([each for each, on in zip(minima, used, strict=True) if on], axis=-1)
    laws = []
    for law, found, name in (
        (params_allocation, stacked[0], "params"), (tokens_allocation, stacked[1], "tokens"),
    ):  # fmt: skip
        errors = optima[f"{name}_error"].to_numpy()[used]
        weights = 1 / errors**2 if (errors > 0).all() else np.ones(len(logs))
        enough = np.isfinite(found).sum(axis=1) >= 2
        lines = _line(logs, found[enough], weights)
        laws.append(_power_law(law, lines))
        if name == "params" and len(logs) > 2 and (errors > 0).all():
            left = (found[0] - lines[0, 0] - lines[0, 1] * logs) / errors
            scatter = float(np.sqrt(left @ left / (len(logs) - 2)))
            if scatter > SCATTER:
                warnings.append(
                    f"optima scatter {scatter:.2g} times their errors about the power law: noise "
                    "is larger than the curves show, and the intervals are too narrow"
                )
    if len(logs) == 2:
        warnings.append("two budgets: the power law passes through both")
    return Frontier(laws[0], laws[1], optima, tuple(warnings))


def _line(x: Array, y: Array, weights: Array) -> Array:
    """Weighted least squares of y (..., B) on x (B,): intercept and slope (..., 2); nan is left
    out."""
    held = np.isfinite(y)
    w, y = weights * held, np.where(held, y, 0.0)
    total = w.sum(axis=-1)
    middle = (w * x).sum(axis=-1) / total
    away = x - middle[..., None]
    slope = (w * away * y).sum(axis=-1) / (w * away**2).sum(axis=-1)
    return np.stack([(w * y).sum(axis=-1) / total - slope * middle, slope], axis=-1)


def _power_law(law: Law, lines: Array) -> PowerLaw:
    """From intercepts and slopes (1 + R, 2), the data first."""
    coefficient, power = law.parameters
    values = {coefficient: float(np.exp(lines[0, 0])), power: float(lines[0, 1])}
    return PowerLaw(law, values, lines[1:])
