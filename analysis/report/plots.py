"""Figures of a study, each a function from the evidence to a matplotlib Figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.result import FitResult
from analysis.fitting.types import LEVEL
from analysis.plotting.numbers import quantity, scientific
from analysis.plotting.style import (
    FITTED,
    HELD,
    INK,
    LINES,
    MUTED,
    SIZE,
    band,
    canvas,
    house_style,
    log_log,
    log_ticks,
    round_ticks,
    rung_style,
)
from analysis.tables.study import StudyRecords
from experiments.record import Forecast

if TYPE_CHECKING:
    import pandas as pd

BINS = 40  # of log tokens: a training curve is drawn as the mean in each
ISOFLOP_SIZES, ISOFLOP_SPREAD = 3, 0.15  # a rung with these is one budget, not one size


def loss_curves(study: StudyRecords, curves: Mapping[str, pd.DataFrame]) -> Any:
    """Training loss against tokens, one line per run, binned in log tokens."""
    with house_style():
        figure, axes = canvas()
        rungs = int(study.runs["rung"].max()) + 1
        low, high = math.inf, 0.0
        for _, run in study.runs.iterrows():
            if run["run_id"] not in curves or "loss" not in curves[run["run_id"]].columns:
                continue
            rows = curves[run["run_id"]].dropna(subset=["loss"])
            tokens, loss = _binned(rows["tokens"].to_numpy(float), rows["loss"].to_numpy(float))
            if not len(tokens):
                continue
            held = run["part"] == "held_out"
            rung = int(run["rung"])
            shade = HELD if held else rung_style(rung, rungs)["color"]
            axes.plot(
                tokens, loss, color=shade, linestyle=LINES[rung % len(LINES)],
                linewidth=1.9 if held else 1.0,
            )  # fmt: skip
            if run["status"] == "diverged":
                axes.plot(tokens[-1], loss[-1], marker="x", color=INK, markersize=9, mew=2)
                axes.annotate(
                    "diverged", (tokens[-1], loss[-1]), xytext=(7, 4),
                    textcoords="offset points", fontsize=9,
                )  # fmt: skip
            low, high = min(low, loss.min()), max(high, np.quantile(loss, 0.98))
        log_log(axes, "tokens seen", "training loss, nats/token")
        if high > 0:
            axes.set_ylim(low * 0.95, high * 1.05)
            round_ticks(axes)
        _rung_legend(axes, study, lines="curves")
        return figure


def loss_against(study: StudyRecords, result: FitResult, variable: str) -> Any:
    """Measured loss against one variable of the law, with the law at fixed values of the other."""
    other = next(name for name in result.law.variables if name != variable)
    columns = {"params": study.params, "tokens": study.tokens}
    counted = f", {study.params}" if study.params.startswith("params_") else ""
    label = {"params": f"parameters{counted}", "tokens": "training tokens"}
    with house_style():
        figure, axes = canvas()
        x = result.points.variables[variable]
        span = np.geomspace(x.min() / 1.3, x.max() * 2.2, 120)
        levels = _levels(result.points.variables[other])
        for at, level in enumerate(levels):
            curve = result.law.predict(result.estimates, **{variable: span, other: level})
            axes.plot(span, curve, color=MUTED, linewidth=0.9, linestyle=LINES[at % len(LINES)])
            axes.annotate(
                f"{'D' if other == 'tokens' else 'N'} = {quantity(level)}",
                (span[-1], curve[-1]), xytext=(3, 0), textcoords="offset points",
                va="center", fontsize=8.5, color=MUTED, annotation_clip=False,
            )  # fmt: skip
        _runs(axes, study, columns[variable])
        log_log(axes, label[variable], f"validation loss, {study.unit}")
        axes.set_xlim(span[0], span[-1])
        round_ticks(axes)
        _rung_legend(axes, study)
        return figure


def ladder(study: StudyRecords, result: FitResult) -> Any:
    """Loss against compute: the rungs, the law along each, and its compute-optimal edge."""
    with house_style():
        figure, axes = canvas()
        flops = result.points.rows["flops_6nd"].to_numpy(float)
        reach = max(flops.max(), study.held_out["flops_6nd"].max() if len(study.held_out) else 0)
        # at one budget every size is a point, not a line
        sizes = () if is_isoflop(study) else _levels(result.points.variables["params"])
        for size in sizes:
            mine = flops[np.isclose(result.points.variables["params"], size, rtol=1e-6)]
            start, end = (mine.min(), mine.max()) if len(mine) else (flops.min(), flops.max())
            span = np.geomspace(start / 1.5, end * 1.5, 60)
            axes.plot(
                span, result.law.predict(result.estimates, params=size, tokens=span / 6 / size),
                color=MUTED, linewidth=0.9,
            )  # fmt: skip
        if result.has_optimum:
            best = result.optimal(np.geomspace(flops.min(), reach * 1.5, 60))
            axes.plot(best.flops, best.loss[0], color=FITTED, linestyle="--", label="optimal split")
        _runs(axes, study, "flops_6nd")
        _held_out_law(axes, study, result)
        log_log(axes, "compute 6ND, FLOPs", f"validation loss, {study.unit}")
        if result.has_optimum:
            band(axes, best.flops, best.loss)
        log_ticks(axes.yaxis, *axes.get_ylim())
        _rung_legend(axes, study)
        return figure


def _held_out_law(axes: Any, study: StudyRecords, result: FitResult) -> None:
    """The law at each held-out run's own D/N, and the error of its prediction beside the star."""
    fitted = float(result.points.rows["flops_6nd"].max())
    for _, rows in study.held_out.groupby([study.params, study.tokens]):
        params, tokens = (float(rows[name].iloc[0]) for name in (study.params, study.tokens))
        ratio, end = tokens / params, 6 * params * tokens
        sizes = np.sqrt(np.geomspace(fitted / 2, end, 30) / 6 / ratio)
        curve = result.predict(params=sizes, tokens=ratio * sizes).value
        name = f"law at D/N = {ratio:.3g}"
        axes.plot(6 * ratio * sizes**2, curve, color=HELD, linewidth=1.1, label=name)
        loss = float(rows[study.loss].mean())
        if math.isfinite(loss):
            axes.annotate(
                f"{100 * (loss / curve[-1] - 1):+.1f} %", (end, loss), xytext=(7, 5),
                textcoords="offset points", fontsize=9, color=HELD,
            )  # fmt: skip


def is_isoflop(study: StudyRecords) -> bool:
    """Every rung holds several sizes at one budget."""
    groups = [rows for _, rows in study.fit_runs.groupby("rung")]
    return bool(groups) and all(
        rows[study.params].nunique() >= ISOFLOP_SIZES
        and rows["flops_6nd"].max() / rows["flops_6nd"].min() < 1 + ISOFLOP_SPREAD
        for rows in groups
    )


def predicted_against_measured(
    result: FitResult, forecasts: Sequence[Forecast] = (), measured: dict[str, float] | None = None
) -> Any:
    """Fitted loss against measured; the fit's bootstrap intervals, and the held-out run's whole."""
    with house_style():
        figure, axes = canvas()
        fitted = result.law.predict(result.estimates, **result.points.variables)
        bars = None
        if result.has_intervals:
            drawn = result.sampled(**result.points.variables)
            ends = np.quantile(drawn, [0.025, 0.975], axis=0)
            least, most = result.points.loss.min() / 10, 10 * result.points.loss.max()
            ends = np.clip(ends, least, most)  # a wild interval leaves the axis, not its numbers
            bars = np.maximum(0, np.stack([fitted - ends[0], ends[1] - fitted]))
        axes.errorbar(
            result.points.loss, fitted, yerr=bars, fmt="o", color=FITTED, markersize=4.5,
            elinewidth=1, capsize=2, label="fitted runs",
        )  # fmt: skip
        known = measured or {}
        shown = [each for each in forecasts if each.run_id in known]
        for at, each in enumerate(shown):
            axes.errorbar(
                known[each.run_id], each.loss,
                yerr=[[each.loss - each.low], [each.high - each.loss]], fmt="*", color=HELD,
                markersize=11, capsize=4, label="held out" if at == 0 else None,
            )  # fmt: skip
        low = min(result.points.loss.min(), *(each.low for each in shown), math.inf) * 0.97
        high = result.points.loss.max() * 1.03
        axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8, zorder=0)
        unit = result.recipe.loss.replace("_", " ")
        log_log(axes, f"measured {unit}", f"fitted {unit}")
        for axis in (axes.xaxis, axes.yaxis):
            log_ticks(axis, low, high)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.legend(loc="upper left")
        return figure


def residuals(study: StudyRecords, result: FitResult) -> Any:
    """100 ln(measured / fitted) against compute, by rung: a pattern is an error of the law."""
    with house_style():
        figure, axes = canvas()
        rungs = int(study.runs["rung"].max()) + 1
        rows, percent = result.points.rows, 100 * result.residuals
        for rung in sorted(rows["rung"].unique()):
            mine = (rows["rung"] == rung).to_numpy()
            axes.plot(
                rows["flops_6nd"].to_numpy(float)[mine], percent[mine], linestyle="none",
                **rung_style(rung, rungs),
            )  # fmt: skip
        spread = float(np.sqrt(np.mean(percent**2)))
        axes.axhspan(-spread, spread, color=FITTED, alpha=0.1, lw=0)
        axes.axhline(0, color=MUTED, linewidth=0.9)
        axes.set_xscale("log")
        axes.set_xlabel("compute 6ND, FLOPs")
        axes.set_ylabel("measured above fitted, %")
        axes.margins(y=0.15)
        _rung_legend(axes, study)
        return figure


def frontier(study: StudyRecords, result: FitResult) -> Any:
    """Compute-optimal parameters and tokens against compute, with intervals, and the runs."""
    with house_style():
        figure, axes = canvas()
        rows = result.points.rows
        flops = rows["flops_6nd"].to_numpy(float)
        reach = max(flops.max(), study.held_out["flops_6nd"].max() if len(study.held_out) else 0)
        best = result.optimal(np.geomspace(flops.min(), reach * 3, 60))
        for name, mark, line, column in (
            ("tokens", "^", "--", study.tokens), ("params", "o", "-", study.params),
        ):  # fmt: skip
            value = getattr(best, name)[0]
            axes.plot(best.flops, value, color=FITTED, linestyle=line, label=f"optimal {name}")
            axes.plot(
                flops, rows[column], linestyle="none", marker=mark, color=MUTED, markersize=4,
                fillstyle="none", label=f"{name} of the runs",
            )  # fmt: skip
        log_log(axes, "compute 6ND, FLOPs", "parameters; tokens")
        seen = np.concatenate(
            [rows[study.params], rows[study.tokens], best.params[0], best.tokens[0]]
        )
        axes.set_ylim(seen.min() / 2, seen.max() * 2)
        for ends in (best.params, best.tokens):
            band(axes, best.flops, ends, 0.16)
        log_ticks(axes.yaxis, *axes.get_ylim())
        figure.legend(loc="outside upper center", ncols=2, columnspacing=1.2)
        return figure


def rolled_errors(result: FitResult, held: Sequence[tuple[float, float]]) -> Any:
    """Errors of every origin of the roll at its later runs, against their distance, with the drift
    and the interval of a new run; `held` are (distance, log error) of the held-out runs."""
    origins, found = result.rolled, result.extrapolation
    reach = max(*(each.distance.max() for each in origins), *(at for at, _ in held), math.log(2))
    at = np.linspace(0, reach, 60)
    noise = result.noise
    with house_style():
        figure, axes = canvas()
        band = found.at(np.zeros_like(at), noise, at, LEVEL, result.freedom)
        half = band.half_width("run noise", "law")
        axes.fill_between(
            np.exp(at), 100 * (band.drift - half), 100 * (band.drift + half), color=FITTED,
            alpha=0.15, lw=0,
        )  # fmt: skip
        axes.plot(np.exp(at), 100 * band.drift, color=FITTED, linestyle="--", label="drift")
        rungs = max(each.rung for each in origins) + 1
        for each in origins:
            look = rung_style(each.rung, rungs)
            axes.plot(
                np.exp(each.distance), 100 * each.log_errors, linestyle="none",
                label=f"fitted below rung {each.rung}", **look,
            )  # fmt: skip
        for distance, error in held:
            axes.plot(math.exp(distance), 100 * error, "*", color=HELD, markersize=12, zorder=3)
        axes.axhline(0, color=MUTED, linewidth=0.9)
        axes.set_xscale("log")
        log_ticks(axes.xaxis, *axes.get_xlim())
        axes.set_xlabel("times outside the rows fitted")
        axes.set_ylabel("measured above the law, %")
        figure.legend(loc="outside upper center", ncols=3, columnspacing=1.2)
        return figure


def held_out(forecasts: Sequence[Forecast], measured: dict[str, float], unit: str) -> Any:
    """The two intervals of each held-out design, one above the other, and the measured losses."""
    designs = {(each.params_total, each.tokens): each for each in forecasts}
    with house_style():
        figure, axes = canvas(max(SIZE[1], 1.5 + 1.3 * len(designs)))
        ticks, names = [], []
        for at, (design, each) in enumerate(designs.items()):
            for row, (low, high), name in (
                (0.0, (each.bootstrap_low, each.bootstrap_high), "constants\nalone"),
                (1.0, (each.low, each.high), "and run noise,\nlaw"),
            ):
                y = 2.6 * at + row
                axes.plot([low, high], [y, y], color=FITTED, linewidth=7, alpha=0.35 + 0.4 * row,
                          solid_capstyle="butt")  # fmt: skip
                axes.plot(each.loss, y, marker="|", markersize=15, mew=2, color=INK)
                ticks.append(y)
                names.append(name)
            found = [
                measured[one.run_id] for one in forecasts
                if (one.params_total, one.tokens) == design and one.run_id in measured
            ]  # fmt: skip
            for value in found:
                axes.plot([value, value], [2.6 * at - 0.45, 2.6 * at + 1.45], color=HELD, lw=1.2)
                axes.plot(value, 2.6 * at + 0.5, marker="*", markersize=13, color=HELD,
                          markeredgecolor="white")  # fmt: skip
        axes.set_yticks(ticks, names)
        axes.set_ylim(-0.7, 2.6 * (len(designs) - 1) + 1.7)
        axes.set_xlabel(f"loss of the held-out run, {unit}")
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.12)
        return figure


def _binned(tokens: Any, loss: Any) -> tuple[Any, Any]:
    keep = np.isfinite(loss) & (tokens > 0) & (loss > 0)
    tokens, loss = tokens[keep], loss[keep]
    if len(tokens) < 2:
        return tokens, loss
    edges = np.geomspace(tokens.min(), tokens.max() * (1 + 1e-9), BINS + 1)
    bin_of = np.searchsorted(edges, tokens, side="right")
    used = np.unique(bin_of)
    return (
        np.array([tokens[bin_of == each].mean() for each in used]),
        np.array([loss[bin_of == each].mean() for each in used]),
    )


def _levels(values: Any) -> Any:
    """The different values, or five that span them where there are many."""
    found = np.unique(values)
    return found if len(found) <= 5 else np.geomspace(found[0], found[-1], 5)


def _runs(axes: Any, study: StudyRecords, column: str) -> None:
    """Completed runs by rung, and the held-out measurement as a star."""
    rungs = int(study.runs["rung"].max()) + 1
    for rung, rows in study.rungs(study.fit_runs):
        axes.plot(
            rows[column], rows[study.loss], linestyle="none", zorder=4, markeredgecolor="white",
            markeredgewidth=0.5, **rung_style(rung, rungs),
        )  # fmt: skip
    done = study.held_out_done
    if len(done):
        axes.plot(
            done[column], done[study.loss], linestyle="none", marker="*", markersize=12,
            color=HELD, markeredgecolor="white", zorder=5,
        )  # fmt: skip


def _rung_legend(axes: Any, study: StudyRecords, lines: str = "marks") -> None:
    from matplotlib.lines import Line2D

    rungs = int(study.runs["rung"].max()) + 1
    budgets = is_isoflop(study)
    handles = []
    for rung, rows in study.rungs(study.planned_fit):
        look = rung_style(rung, rungs)
        look = (
            {"color": look["color"], "linestyle": LINES[rung % len(LINES)]}
            if lines == "curves"
            else {**look, "linestyle": "none"}
        )
        name = (
            f"{scientific(rows['flops_6nd'].median())} FLOPs"
            if budgets
            else f"N = {quantity(rows[study.params].median())}"
        )
        handles.append(Line2D([], [], label=name, **look))
    shown = study.held_out if lines == "curves" else study.held_out_done
    if len(shown):
        look = (
            {"linestyle": LINES[int(shown["rung"].iloc[0]) % len(LINES)], "linewidth": 1.9}
            if lines == "curves"
            else {"marker": "*", "markersize": 11, "linestyle": "none"}
        )
        handles.append(Line2D([], [], label="held out", color=HELD, **look))
    axes.figure.legend(
        handles=handles, loc="outside upper center", ncols=3, columnspacing=1.2, handletextpad=0.5
    )
