"""Approach 2 of Hoffmann et al. 2022 (arXiv 2203.15556): N*(C) and D*(C) without a law of the loss.

The optimum of a budget is the vertex of a parabola in ln N, or the minimum of an Akima
interpolation (Porian et al. 2024, arXiv 2406.19146).

A parabola follows the loss to second order alone. Where L = E + A / N^alpha + B / D^beta, sizes
evenly spaced in ln N over -w .. w about a middle that lies s above the optimum put its vertex at

    ln N_vertex - ln N* = (beta - alpha) (s^2 / 2 - w^2 / 10)
                          + (alpha^2 - alpha beta + beta^2) s (s^2 / 3 - w^2 / 35) + ...

This is the same at every budget, and leaves the exponent unbiased, only if s and w are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.estimators.frontier import SIZES, Frontier, line, power_law, read_columns, row_groups
from analysis.estimators.vertex import parabola
from analysis.tables.columns import Array, listed
from analysis.tables.derived import completed
from analysis.tables.points import check_compute
from analysis.tables.population import kept
from scaling.common.errors import UserError, nearest
from scaling.laws.allocation import params_allocation, tokens_allocation

if TYPE_CHECKING:
    import pandas as pd


OFF_CENTRE = 0.5  # share of the half-width of a grid by which its optimum may miss its middle
FLAT = 0.5  # share of the half-width that the error of an optimum may take
NARROW = 3.0  # a grid whose largest size is less than this many times its smallest
SCATTER = 3.0  # optima this many times their errors off the power law contradict the errors
AKIMA_GRID = 400  # places per curve where an interpolation is searched


@dataclass(frozen=True)
class MinimumFinder:
    """A curve through the losses of one budget, and its minimum.

    Attributes:
        minimum: (x (k,), losses (R, k)) -> x and loss of the minimum (R,); nan where none lies
            within the x.
        at: (x (k,), losses (k,), places (m,)) -> the curve (m,), for figures.
        floor: the least error that such a minimum can have, in spacings of x.
    """

    minimum: Callable[[Array, Array], tuple[Array, Array]]
    at: Callable[[Array, Array, Array], Array]
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

    Every resample adds Gaussian noise to ln loss and finds all minima again, which gives each
    optimum an error. The power laws weigh the optima by 1 / error^2. `noise` is the standard
    deviation of ln loss from run to run; default: that of the residuals of all parabolas.
    `bootstrap=0` gives equal weights and no intervals. Where runs share a size, the parabola takes
    all of them and Akima the best.

    Optima at the edge of their grid are censored: they are left out, and `.warnings` says so.
    Raises UserError where fewer than two budgets have an optimum, or `params` are not those of the
    compute.
    """
    if curve not in CURVES:
        raise UserError(f"curve='{curve}': {nearest(curve, CURVES)}")
    check_compute(table, params)
    apart = () if budget is None else (budget,)
    table = completed(table, params, tokens)
    table, notes = kept(table, loss, (params, tokens, flops), apart)
    read = read_columns(table, (loss, params, tokens, flops), bootstrap)
    groups = row_groups(table, read[flops], budget, tolerance)
    warnings = list(notes)
    spread = _pooled_noise(read[params], read[loss], groups) if noise is None else noise
    if np.isnan(spread) and bootstrap:
        warnings.append(
            "no budget has more than three sizes, so the noise is unknown: give noise=, the "
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


def _pooled_noise(sizes: Array, losses: Array, groups: list[NDArray[np.intp]]) -> float:
    """The standard deviation of ln loss about the parabolas of all budgets; nan where none has
    more runs than a parabola has coefficients."""
    squares, freedom = 0.0, 0
    for rows_of in groups:
        x = np.log(sizes[rows_of])
        if len(np.unique(x)) > SIZES:
            y = losses[rows_of]
            left = (y - parabola(x, y[None]).at(x)[0]) / y
            squares += float(left @ left)
            freedom += len(x) - 3
    return (squares / freedom) ** 0.5 if freedom else float("nan")


def _parabola(x: Array, losses: Array) -> tuple[Array, Array]:
    fitted = parabola(x, losses)
    vertex = fitted.vertex
    inside = (fitted.bend > 0) & (vertex >= x.min()) & (vertex <= x.max())
    return np.where(inside, vertex, np.nan), np.where(inside, fitted.least, np.nan)


def _parabola_at(x: Array, losses: Array, places: Array) -> Array:
    return parabola(x, losses[None]).at(places)[0]


def _akima_curves(x: Array, losses: Array) -> tuple[Array, Callable[[Array], Array]]:
    """The different sizes, and ln loss (R, m) through the best run of each."""
    from scipy.interpolate import Akima1DInterpolator

    sizes, of = np.unique(x, return_inverse=True)
    best = np.stack([losses[:, of == each].min(axis=1) for each in range(len(sizes))], axis=1)
    return sizes, Akima1DInterpolator(sizes, np.log(best), axis=1)


def _akima_at(x: Array, losses: Array, places: Array) -> Array:
    return np.asarray(np.exp(_akima_curves(x, losses[None])[1](places)[0]))


def _akima(x: Array, losses: Array) -> tuple[Array, Array]:
    sizes, through = _akima_curves(x, losses)
    grid = np.linspace(sizes[0], sizes[-1], AKIMA_GRID + 1)
    curves = through(grid)
    lowest = curves.argmin(axis=1)
    inside = (lowest > 0) & (lowest < AKIMA_GRID)
    value = np.exp(curves[np.arange(len(curves)), lowest])
    return np.where(inside, grid[lowest], np.nan), np.where(inside, value, np.nan)


CURVES = {
    "parabola": MinimumFinder(_parabola, _parabola_at, floor=0.0),
    # Akima minima cluster at the sizes that were run (Porian et al.)
    "akima": MinimumFinder(_akima, _akima_at, floor=1 / 3),
}


def _optimum(x: Array, losses: Array, curve: MinimumFinder) -> tuple[dict[str, Any], Array]:
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
        # minima beyond the edge are not seen: their share widens the error
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
            f"{listed(warnings, '; ')}; a column that names the budget of each run, or another "
            "tolerance, may tell them apart"
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
        lines = line(logs, found[enough], weights)
        laws.append(power_law(law, lines))
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
