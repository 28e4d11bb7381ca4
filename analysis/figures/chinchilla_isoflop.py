"""Chinchilla's headline figure from its points: IsoFLOP curves, and three ways to the optimum.

Hoffmann et al. 2022 (arXiv 2203.15556), Figs. 2 to 4 and Table 2. The points of Fig. 3 were read
from the picture (Besiroglu et al. 2024). Approach 1 takes the lower envelope, here of final losses
for want of curves; Approach 2 the minima of parabolas; Approach 3 the parametric law.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.estimators.frontier import Frontier
from analysis.estimators.isoflop import isoflop
from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.plotting.style import FITTED, HELD, INK, SIZE, house_style, log_ticks, rung_style

if TYPE_CHECKING:
    import pandas as pd

EXPERIMENT = "epochai_chinchilla__massivetext__chinchilla"
DROPPED = 5  # of the highest losses, for Approach 3
BOOTSTRAP = 200
APPROACHES = {  # a of N* ~ C^a, with the interval of the paper
    "Approach 1": (0.50, (0.488, 0.502)),
    "Approach 2": (0.49, (0.462, 0.534)),
    "Approach 3": (0.46, (0.454, 0.455)),
}
GOPHER = 5.76e23  # FLOPs: 67 to 63 to 40 billion parameters by the three approaches
SIZES = {"Approach 1": 67e9, "Approach 2": 63e9, "Approach 3": 40e9}
WHY = "points read from the figure, without the learning curves of the paper"
FLOPS = "flops_budget"


def reproduce() -> Reproduction:
    """a of N* ~ C^a and N* at Gopher's budget, by each approach."""
    points = load("isoflop_collection")
    points = points[points["experiment"] == EXPERIMENT]
    clean = points[~points["outlier"]]
    profiles = isoflop(
        clean, budget=FLOPS, flops=FLOPS, curve="parabola", window="all", edge="run",
        bootstrap=BOOTSTRAP,
    )  # fmt: skip
    best = clean.loc[clean.groupby(FLOPS)["loss"].idxmin()]
    lowest = np.polyfit(np.log(best[FLOPS]), np.log(best["params_total"]), 1)
    law = fit("chinchilla", load("chinchilla_epoch"), drop_highest=DROPPED, bootstrap=BOOTSTRAP)
    beta, alpha = (law.samples[:, law.law.parameters.index(name)] for name in ("beta", "alpha"))
    share = law.params["beta"] / (law.params["alpha"] + law.params["beta"])
    ours = {
        "Approach 1": (float(lowest[0]), float(np.exp(np.polyval(lowest, np.log(GOPHER))))),
        "Approach 2": (profiles.params.exponent, float(profiles.params.predict(GOPHER)[0])),
        "Approach 3": (share, float(law.optimal(GOPHER).params[0])),
    }
    rows = [
        row
        for name, (power, size) in ours.items()
        for row in (
            Row(f"{name}: N* ~ C^a, a", APPROACHES[name][0], power, None, WHY),
            Row(f"{name}: N* at 5.76e23, 1e9", SIZES[name] / 1e9, size / 1e9, None, WHY),
        )
    ]
    low, high = profiles.params.interval()
    third = np.quantile(beta / (alpha + beta), [0.025, 0.975])
    spent = np.unique(points[FLOPS])
    return Reproduction(
        title="Chinchilla: IsoFLOP curves and three approaches",
        source="Hoffmann et al. 2022, arXiv 2203.15556; points read by Besiroglu et al. 2024",
        rows=(*rows, Row("budgets", 9, float(len(spent)), 0)),
        notes=(
            f"95 % of a here: Approach 2 [{low:.3f}, {high:.3f}], Approach 3 "
            f"[{third[0]:.3f}, {third[1]:.3f}]; the paper prints (0.462, 0.534) and "
            "(0.454, 0.455), the latter too narrow for its own points",
            f"{len(profiles.optima[profiles.optima['used']])} budgets have an optimum here; the "
            "collectors' screen leaves two with too few points. Approaches 2 and 3 put a above the "
            "paper's, Approach 1 below, and N* at Gopher's budget at "
            f"{min(size for _, size in ours.values()) / 1e9:.0f} to "
            f"{max(size for _, size in ours.values()) / 1e9:.0f} billion",
        ),
        figure=_draw(clean, profiles, law, lowest),
    )


def _draw(points: pd.DataFrame, profiles: Frontier, law: FitResult, lowest: Any) -> Any:
    from matplotlib.figure import Figure

    budgets = sorted(points[FLOPS].unique())
    with house_style():
        figure = Figure(figsize=(2 * SIZE[0], 1.15 * SIZE[1]), layout="constrained")
        curves, optima = figure.subplots(1, 2)
        for at, budget in enumerate(budgets):
            rows = points[points[FLOPS] == budget].sort_values("params_total")
            look = rung_style(at, len(budgets))
            x = np.log(rows["params_total"].to_numpy())
            curves.plot(
                rows["params_total"], rows["loss"], linestyle="none", **look, label=f"{budget:.0e}"
            )
            if len(rows) > 2:
                span = np.linspace(x.min(), x.max(), 60)
                parabola = np.polyfit(x, np.log(rows["loss"]), 2)
                curves.plot(
                    np.exp(span), np.exp(np.polyval(parabola, span)), color=look["color"], lw=1
                )
        curves.set(xscale="log", xlabel="parameters N", ylabel="loss, nats/token")
        log_ticks(curves.xaxis, *curves.get_xlim())
        bottom, top = curves.get_ylim()
        curves.set_ylim(bottom, top + 0.3 * (top - bottom))
        curves.legend(title="C, FLOPs", ncols=3, loc="upper right")
        used = profiles.optima[profiles.optima["used"]]
        optima.plot(used["flops"], used["params"], "o", color=INK, label="minima of parabolas")
        span = np.geomspace(min(budgets), GOPHER, 40)
        optima.plot(
            span, np.exp(np.polyval(lowest, np.log(span))), ":", color=HELD, label="Approach 1"
        )
        value, low, high = profiles.params.predict(span)
        optima.fill_between(span, low, high, color=FITTED, alpha=0.15, lw=0)
        optima.plot(span, value, color=FITTED, label="Approach 2")
        optima.plot(span, law.optimal(span).params[0], "--", color=INK, label="Approach 3")
        optima.plot([GOPHER] * 3, list(SIZES.values()), "*", color=HELD, label="paper, 5.76e23")
        optima.set(xscale="log", yscale="log", xlabel="compute C, FLOPs", ylabel="N*, parameters")
        log_ticks(optima.xaxis, *optima.get_xlim())
        log_ticks(optima.yaxis, *optima.get_ylim())
        optima.legend(loc="upper left")
        return figure
