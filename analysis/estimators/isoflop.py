"""Approach 2 of Hoffmann et al. 2022 (arXiv 2203.15556): N*(C) and D*(C) without a law of the loss.

The optimum of a budget is the least of a curve through its losses in ln N: a cubic of one skew for
all budgets, a parabola as in the paper, or an Akima interpolation (Porian et al. 2024, arXiv
2406.19146).

A parabola follows the loss to second order alone. Where L = E + A / N^alpha + B / D^beta, sizes
evenly spaced in ln N over -w .. w about a middle that lies s above the optimum put its vertex at

    ln N_vertex - ln N* = (beta - alpha) (s^2 / 2 - w^2 / 10)
                          + (alpha^2 - alpha beta + beta^2) s (s^2 / 3 - w^2 / 35) + ...

This is the same at every budget, and leaves the exponent unbiased, only if s and w are. The skew
takes up the first term: an exponent then needs no centred grid, and N* itself is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.estimators.frontier import (
    Frontier,
    excess,
    line,
    power_law,
    read_columns,
    row_groups,
)
from analysis.estimators.profile_noise import Noise, local_noise, repeats
from analysis.estimators.vertex import CURVES, SIZES, CurveKind, Minima, Profiles
from analysis.tables.columns import Array, listed, row_labels
from analysis.tables.derived import completed, plain
from analysis.tables.points import check_compute, check_spans, check_weights, row_weights
from analysis.tables.population import runs, visible
from scaling.common.errors import UserError, nearest
from scaling.laws.allocation import params_allocation, tokens_allocation

if TYPE_CHECKING:
    import pandas as pd

Window = int | Literal["noise", "all"]
Edge = Literal["curve", "run"]
WINDOWS, EDGES = ("noise", "all"), ("curve", "run")

OFF_CENTRE = 0.5  # share of the half-width of a grid by which its optimum may miss its middle
FLAT = 0.5  # share of the half-width that the error of an optimum may take
NARROW = 3.0  # a grid whose largest size is less than this many times its smallest
FEWEST, NARROWER = 5, 0.9  # sizes of the narrowest window that is tried; each to the one before


def isoflop(
    table: pd.DataFrame,
    *,
    loss: str = "loss",
    params: str = "params_total",
    tokens: str = "tokens",
    flops: str = "flops_6nd",
    budget: str | None = None,
    tolerance: float = 0.1,
    weights: str | Array | None = None,
    curve: Literal["skewed", "parabola", "akima"] = "skewed",
    window: Window = "noise",
    edge: Edge = "curve",
    noise: float | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Frontier:
    """Approach 2. A budget is one value of the column `budget`, or rows whose FLOPs follow each
    other within `tolerance` in their logarithm.

    Args:
        weights: a column or a number for each row; 0 leaves it out.
        curve: "parabola" with window="all" is the recipe of Hoffmann et al.
        window: the sizes of each budget that its curve sees. A number takes the nearest to its
            minimum. "noise" takes the most at which the curves miss the runs by no more than the
            noise (F test at 5 %), down to five. "all" takes all, and Akima always does.
        edge: "curve" keeps a budget whose curve has its minimum between the smallest and the
            largest size (Porian et al.); "run" asks that for its best run too.
        noise: standard deviation of ln loss from run to run. Default: that of the runs about their
            curves if the local noise explains it (`profile_noise`), else the local noise.
        bootstrap: resamples. Each draws a noise that the runs allow, adds it to ln loss and finds
            all minima again, which gives each optimum an error. The power laws weigh the optima by
            1 / error^2. 0 gives equal weights and no intervals.

    Where runs share a size, a curve takes all of them and Akima the best. Optima at the edge of
    their grid are censored: they are left out, and `.warnings` says so. Where optima scatter about
    the power law more than their errors explain, its intervals are widened to that scatter.

    Raises UserError where fewer than two budgets have an optimum, or `params` are not those of the
    compute.
    """
    _check(curve, window, edge)
    check_compute(table, params)
    if len(table) == 0:
        raise UserError("the table has no rows")
    table = completed(table, params, tokens)
    params, tokens, flops = (plain(table, each) for each in (params, tokens, flops))
    columns = (loss, params, tokens, flops)
    given = row_weights(table, weights)
    on = given != 0
    apart = () if budget is None else (budget,)
    keep, notes = visible(table.loc[on], loss, columns[1:], apart)
    rows, given = table.loc[on].loc[keep], given[on][keep]
    check_weights(given, row_labels(rows))
    warnings = [*notes, *([] if on.all() else [f"{runs(int((~on).sum()))} of weight 0: left out"])]
    read = read_columns(rows, columns, bootstrap)
    groups = row_groups(rows, read[flops], budget, tolerance)
    ln_sizes, ln_tokens = np.log(read[params]), np.log(read[tokens])
    kind = CURVES[curve]
    data = Profiles.of(ln_sizes, read[loss][None], given, groups)
    local = (
        local_noise(ln_sizes, np.log(read[loss]), given, repeats(rows), groups)
        if noise is None
        else Noise(noise, np.inf)
    )
    seen, about = _seen(data, kind, window, local)
    spread = about if _accepted(noise, kind, local, about) else local
    warnings += _noise_notes(spread, local, about, bootstrap)

    resamples = bootstrap if spread.freedom else 0
    rng = np.random.default_rng(seed)
    kicks = rng.standard_normal((resamples, len(rows))) / np.sqrt(given)
    if resamples:
        kicks *= spread.draw(rng, resamples)[:, None]
    losses = read[loss] * np.exp(np.vstack([np.zeros(len(rows)), kicks]))
    minima = []
    for x in (ln_sizes, ln_tokens):
        whole = Profiles.of(x, losses, given, groups)
        minima.append(kind.fit(replace(whole, weights=seen.weights)))

    optima, drawn = [], []
    for at, of in enumerate(groups):
        row, places = _optimum(
            np.stack([ln_sizes[of], ln_tokens[of]]), read[loss][of], minima, at, kind, edge
        )
        row["flops"] = float(np.exp(np.log(read[flops][of]).mean()))
        near = seen.sizes(at)
        row |= {"window": len(near), "low": np.exp(near[0]), "high": np.exp(near[-1])}
        optima.append(row)
        drawn.append(places)
        warnings += _warnings(row, ln_sizes[of], kind)
    members = tuple(rows.iloc[of] for of in groups)
    return _frontier(optima, drawn, members, spread, warnings, rng)


def _check(curve: str, window: Window, edge: str) -> None:
    for name, word, known in (("curve", curve, CURVES), ("edge", edge, EDGES)):
        if word not in known:
            raise UserError(f"{name}='{word}': {nearest(word, known)}")
    if isinstance(window, str) and window not in WINDOWS:
        raise UserError(f"window='{window}': a number of sizes, or {nearest(window, WINDOWS)}")
    if isinstance(window, int) and window < SIZES:
        raise UserError(f"window={window}: a curve needs {SIZES} sizes")


def _seen(data: Profiles, kind: CurveKind, window: Window, local: Noise) -> tuple[Profiles, Noise]:
    """The runs that the curves see, and their scatter about the curves.

    Each narrower window holds the sizes nearest to the minima of the one before.
    """
    count = max(len(data.sizes(at)) for at in range(len(data.x)))
    least = FEWEST if isinstance(window, str) else window
    seen, found = data, kind.fit(data)
    about = _scatter(seen, found)
    while not kind.exact and window != "all" and count > least:
        if window == "noise" and local.explains(about):
            break
        count = max(least, min(count - 1, int(NARROWER * count)))
        seen = data.nearest(_centres(data, found), count)
        found = kind.fit(seen)
        about = _scatter(seen, found)
    return seen, about


def _centres(data: Profiles, found: Minima) -> Array:
    """The minima (B,) of the data, or its best runs where a curve has none between its sizes."""
    runs_of = np.where(data.weights > 0, data.y[0], np.inf)
    best = np.take_along_axis(data.x, runs_of.argmin(axis=1)[:, None], 1)[:, 0]
    held = np.where(data.weights > 0, data.x, best[:, None])
    place = found.place[0]
    inside = (found.bend[0] > 0) & (place > held.min(axis=1)) & (place < held.max(axis=1))
    return np.where(inside, place, best)


def _scatter(seen: Profiles, found: Minima) -> Noise:
    on = seen.weights[np.isfinite(found.bend[0])] > 0
    freedom = int(on.sum()) - found.constants
    if freedom < 1:
        return Noise(float("nan"), 0)
    return Noise(float(np.sqrt(np.sum(seen.weights * found.misses**2) / freedom)), freedom)


def _accepted(noise: float | None, kind: CurveKind, local: Noise, about: Noise) -> bool:
    """True where the noise is best known from the scatter of the runs about their curves."""
    return noise is None and not kind.exact and about.freedom > 0 and local.explains(about)


def _noise_notes(spread: Noise, local: Noise, about: Noise, bootstrap: int) -> list[str]:
    if bootstrap and not spread.freedom:
        return [
            "no budget has more than three sizes, so the noise is unknown: give noise=, the "
            "standard deviation of ln loss from run to run"
        ]
    if local.explains(about):
        return []
    return [
        f"the curves miss the runs by {100 * about.sd:.2g} %, and noise explains "
        f"{100 * local.sd:.2g} %: the minima may be biased; a narrower window or another curve "
        "may follow them"
    ]


def _optimum(
    x: Array, losses: Array, minima: Sequence[Minima], at: int, kind: CurveKind, edge: str
) -> tuple[dict[str, Any], Array]:
    """One budget: its row of `optima`, and ln N* and ln D* of the data and of every resample,
    (2, 1 + R). x (2, k) are ln N and ln D of its runs."""
    places = np.stack([each.place[:, at] for each in minima])
    bends = np.stack([each.bend[:, at] for each in minima])
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    inside = ~(bends <= 0) & (places > low) & (places < high)
    minimum = np.where(inside, places, np.nan)
    row: dict[str, Any] = {
        "flops": np.nan, "sizes": len(np.unique(x[0])), "params": np.nan, "params_error": np.nan,
        "tokens": np.nan, "tokens_error": np.nan, "loss": np.nan, "bend": np.nan, "skew": np.nan,
        "used": False, "why": "",
    }  # fmt: skip
    best = x[0][losses.argmin()]
    if row["sizes"] < SIZES:
        row["why"] = f"{row['sizes']} sizes, and a curve needs {SIZES}"
    elif edge == "run" and best in (low[0, 0], high[0, 0]):
        side = "smallest" if best == low[0, 0] else "largest"
        row["why"] = f"the {side} size is the best: the optimum lies at or beyond the edge"
    elif (bends[:, 0] <= 0).any():
        row["why"] = "the curve has no minimum: it is not convex"
    elif not inside[:, 0].all():
        side = "smallest" if places[0, 0] <= low[0, 0] or places[1, 0] >= high[1, 0] else "largest"
        row["why"] = f"the minimum of the curve lies at or beyond the {side} size"
    elif minimum.shape[1] > 1 and (inside[:, 1:].mean(axis=1) < 0.5).any():
        row["why"] = "noise moves the minimum beyond the edge in most resamples"
    if row["why"]:
        return row, np.full_like(minimum, np.nan)
    errors = np.full(2, np.nan)
    if minimum.shape[1] > 1:
        spacing = np.ptp(x, axis=1) / (row["sizes"] - 1)
        # minima beyond the edge are not seen: their share widens the error
        share = inside[:, 1:].mean(axis=1)
        errors = np.maximum(np.nanstd(minimum[:, 1:], axis=1) / share, kind.floor * spacing)
    row |= {
        "params": float(np.exp(minimum[0, 0])), "params_error": float(errors[0]),
        "tokens": float(np.exp(minimum[1, 0])), "tokens_error": float(errors[1]),
        "loss": float(minima[0].least[0, at]), "bend": float(bends[0, 0]),
        "skew": float(minima[0].skew[0]), "used": True,
    }  # fmt: skip
    return row, minimum


def _warnings(row: Mapping[str, Any], x: Array, kind: CurveKind) -> list[str]:
    name = f"budget {row['flops']:.3g}"
    if not row["used"]:
        return [f"{name} left out: {row['why']}"]
    found = []
    half, off = np.ptp(x) / 2, np.log(row["params"]) - (x.min() + x.max()) / 2
    if kind.centred and abs(off) > OFF_CENTRE * half:
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


def _frontier(
    rows: list[dict[str, Any]],
    minima: list[Array],
    members: tuple[pd.DataFrame, ...],
    noise: Noise,
    warnings: list[str],
    rng: np.random.Generator,
) -> Frontier:
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
    warnings += check_spans("power law of the optima", ("compute",), logs[None])
    stacked = np.stack([each for each, on in zip(minima, used, strict=True) if on], axis=-1)
    laws = []
    for law, found, name in (
        (params_allocation, stacked[0], "params"), (tokens_allocation, stacked[1], "tokens"),
    ):  # fmt: skip
        errors = optima[f"{name}_error"].to_numpy()[used]
        known = bool((errors > 0).all())
        weights = 1 / errors**2 if known else np.ones(len(logs))
        enough = np.isfinite(found).sum(axis=1) >= 2
        lines = line(logs, found[enough], weights)
        if known and (wider := excess(logs, found[0], errors, lines[0], noise.freedom)) > 1:
            freedom = len(logs) - 2
            reach = wider * np.sqrt(freedom / rng.chisquare(freedom, len(lines) - 1))
            lines[1:] = lines[0] + reach[:, None] * (lines[1:] - lines[0])
            warnings.append(
                f"optima of {name} scatter {wider:.2g} times their errors about the power law: its "
                "intervals are widened to that scatter"
            )
        laws.append(power_law(law, lines))
    if len(logs) == 2:
        warnings.append("two budgets: the power law passes through both")
    return Frontier(laws[0], laws[1], optima, tuple(warnings), members, noise.sd)
