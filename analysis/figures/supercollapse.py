"""Supercollapse: learning curves of all sizes fall on one, within the noise of a seed.

    l(x) = (L(x C) - L_0) / (L(C) - L_0),   x the share of training that is done

Qiu et al. 2025 (arXiv 2507.02119). C is the final compute of a run, L_0 the floor of the power law
through the final losses. With a decayed learning rate the curves of different sizes differ by less
than the losses of two seeds do; with a constant one they do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets.supercollapse import CURVES, DATASET
from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.fit import fit
from analysis.plotting.style import FITTED, HELD, SIZE, house_style, log_ticks, rung_style
from analysis.tables.points import Array
from scaling import laws

if TYPE_CHECKING:
    import pandas as pd

EXPERIMENTS = {"mlp": "MLP, linear decay", "chess": "chess, linear decay"}
CONSTANT = "mlp_const"
SHARES = np.linspace(0.02, 1.0, 50)
LATE = 0.8  # of training: where the paper's deviations lie below the noise
WHY = "a statement of the paper"


@dataclass(frozen=True)
class _Collapse:
    """Normalised curves (runs, shares), the size of each run, and both deviations by share."""

    curves: Array
    size: Array
    floor: float
    across: Array  # sd over sizes of the mean curve, relative
    seeds: Array  # sd over seeds of L - L_0 before it is normalised, relative; nan for one seed


def reproduce() -> Reproduction:
    """Deviation between sizes against that between seeds, over the last fifth of training."""
    runs, curves = DATASET.load(), CURVES.load()
    found = {
        name: _collapse(runs[runs["experiment"] == name], curves)
        for name in (*EXPERIMENTS, CONSTANT)
    }
    late = (SHARES >= LATE) & (SHARES < 1)  # at the end all are 1
    shares = {
        name: float(np.mean(found[name].across[late] < found[name].seeds[late]))
        for name in EXPERIMENTS
    }
    half = int(np.argmin(np.abs(SHARES - 0.5)))
    return Reproduction(
        title="Supercollapse of learning curves",
        source=DATASET.paper,
        rows=tuple(
            Row(f"{said}: share of the last fifth within seed noise", 1.0, shares[name], 0.0, WHY)
            for name, said in EXPERIMENTS.items()
        ),
        notes=(
            *(
                f"{name}: half-way, sizes differ by {100 * each.across[half]:.2f} % and seeds by "
                f"{100 * each.seeds[half]:.2f} %"
                for name, each in found.items()
                if np.isfinite(each.seeds[half])
            ),
            f"with a constant rate ({CONSTANT}) sizes differ by "
            f"{100 * found[CONSTANT].across[half]:.1f} % half-way: no collapse",
            "at the end all curves are 1 by construction: the last shares of training show least",
            "a run whose normalised curve leaves the band of its siblings has another setting",
        ),
        figure=_draw(found),
    )


def _collapse(runs: pd.DataFrame, curves: pd.DataFrame) -> _Collapse:
    means = runs.groupby("petaflops")["loss"].mean().reset_index()
    law = fit(laws.power_law, means, x="petaflops", objective="log_squared")
    floor = law.params["E"]
    of = dict(tuple(curves.groupby("run_id")))
    above = np.stack([_above(of[str(name)], floor) for name in runs["run_id"]])
    normal = above / above[:, -1:]
    size = runs["petaflops"].to_numpy()
    groups = [size == each for each in np.unique(size)]
    middle = np.stack([normal[group].mean(axis=0) for group in groups])
    repeats = [above[group] for group in groups if group.sum() > 1]
    seeds = [each.std(axis=0, ddof=1) / each.mean(axis=0) for each in repeats]
    return _Collapse(
        curves=normal,
        size=size,
        floor=floor,
        across=middle.std(axis=0, ddof=1) / middle.mean(axis=0),
        seeds=np.mean(seeds, axis=0) if seeds else np.full(len(SHARES), np.nan),
    )


def _above(curve: pd.DataFrame, floor: float) -> Array:
    """L - L_0 at each share of training."""
    done = curve["petaflops"].to_numpy() / curve["petaflops"].max()
    return np.interp(SHARES, done, curve["loss"].to_numpy() - floor)


def _draw(found: Mapping[str, _Collapse]) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(2 * SIZE[0], 1.8 * SIZE[1]), layout="constrained")
        (decayed, constant), (first, second) = figure.subplots(2, 2)
        for axes, name, said in (
            (decayed, "mlp", EXPERIMENTS["mlp"]),
            (constant, CONSTANT, "MLP, constant rate"),
        ):
            sizes = np.unique(found[name].size)
            for at, size in enumerate(sizes):
                color = rung_style(at, len(sizes))["color"]
                for curve in found[name].curves[found[name].size == size]:
                    axes.plot(SHARES, curve, color=color, lw=0.7)
            axes.set(yscale="log", xlabel="share of training x", ylabel="normalised loss l(x)")
            axes.set_title(said, loc="left")
            low, high = axes.get_ylim()
            log_ticks(axes.yaxis, low, high, "{:g}".format)
        for axes, name in ((first, "mlp"), (second, "chess")):
            axes.plot(SHARES[:-1], 100 * found[name].across[:-1], color=FITTED, label="sizes")
            axes.plot(SHARES[:-1], 100 * found[name].seeds[:-1], "--", color=HELD, label="seeds")
            axes.set(yscale="log", xlabel="share of training x", ylabel="deviation, %")
            axes.set_title(EXPERIMENTS[name], loc="left")
            axes.legend()
        return figure
