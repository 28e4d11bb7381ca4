"""Compute-optimal sizes of xLSTM and Llama at a context of 16,384 (Beck et al. 2025).

arXiv 2510.02228 finds that optimal xLSTM models are larger than transformers of equal compute. Runs
of one budget share the authors' exact FLOPs and differ in 6 N D; the axis here is 6 N D, at which
both have their optima by one skewed curve through each budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.datasets.xlstm_isoflop import DATASET
from analysis.estimators.frontier import Frontier
from analysis.estimators.isoflop import isoflop
from analysis.figures._reproduction import Reproduction, Row
from analysis.plotting.style import FITTED, HELD, SIZE, house_style, log_log, log_ticks

if TYPE_CHECKING:
    import pandas as pd

CONTEXT = 16384
ARMS = {"mLSTM (xLSTM)": "xLSTM", "Llama transformer": "Llama"}
BOOTSTRAP = 400
TICKS = (5e18, 1e19, 2e19)
WHY = "a statement of the paper"


def reproduce() -> Reproduction:
    """Ratio of optimal sizes at equal compute, over the compute that both have."""
    table = load("xlstm_isoflop")
    table = table[~table["diverged"] & (table["context"] == CONTEXT)]
    found = {
        said: isoflop(table[table["architecture"] == name], budget="budget", bootstrap=BOOTSTRAP)
        for name, said in ARMS.items()
    }
    ends = [each.optima.loc[each.optima["used"], "flops"] for each in found.values()]
    span = np.geomspace(max(e.min() for e in ends), min(e.max() for e in ends), 9)
    ratio = found["xLSTM"].params.predict(span)[0] / found["Llama"].params.predict(span)[0]
    larger = float(np.mean(ratio > 1))
    low, high = _interval(found, float(np.sqrt(span[0] * span[-1])))
    return Reproduction(
        title="xLSTM and Llama at a context of 16,384",
        source=DATASET.paper,
        rows=(Row("share of budgets at which the optimal xLSTM is larger", 1.0, larger, 0.0, WHY),),
        notes=(
            f"the optimal xLSTM has {ratio.min():.2f} to {ratio.max():.2f} times the parameters of "
            f"the optimal Llama from {span[0]:.1e} to {span[-1]:.1e} FLOPs; 95 % in the middle "
            f"[{low:.2f}, {high:.2f}], of three budgets each",
            *(
                f"{name}: N* ~ C^{each.params.exponent:.2f} "
                f"[{each.params.interval()[0]:.2f}, {each.params.interval()[1]:.2f}]"
                for name, each in found.items()
            ),
            "at contexts of 2,048 and 8,192 too few xLSTM runs were released for an optimum",
        ),
        figure=_draw(table, found),
    )


def _interval(found: dict[str, Frontier], flops: float) -> tuple[float, float]:
    """95 % of the ratio of sizes, over resamples of both."""
    logs = [each.params.samples @ [1.0, np.log(flops)] for each in found.values()]
    low, high = np.quantile(np.exp(logs[0] - logs[1]), [0.025, 0.975])
    return float(low), float(high)


def _draw(table: pd.DataFrame, found: dict[str, Frontier]) -> Any:
    from matplotlib.figure import Figure

    looks = {"xLSTM": (FITTED, "o", "-"), "Llama": (HELD, "^", "--")}
    with house_style():
        figure = Figure(figsize=(1.8 * SIZE[0], SIZE[1]), layout="constrained")
        curves, optima = figure.subplots(1, 2)
        for name, said in ARMS.items():
            color, mark, line = looks[said]
            for _, rows in table[table["architecture"] == name].groupby("budget"):
                best = rows.groupby("params_total")["loss"].min()
                curves.plot(best.index, best, marker=mark, linestyle=line, color=color, lw=0.8)
            used = found[said].optima[found[said].optima["used"]]
            optima.plot(used["flops"], used["params"], mark, color=color, label=said)
            span = np.geomspace(used["flops"].min(), used["flops"].max(), 20)
            value, low, high = found[said].params.predict(span)
            optima.fill_between(span, low, high, color=color, alpha=0.15, lw=0)
            optima.plot(span, value, line, color=color)
        curves.set(xscale="log", xlabel="parameters N", ylabel="loss, nats/token")
        log_log(optima, "compute 6 N D, FLOPs", "N*, parameters")
        log_ticks(optima.yaxis, *optima.get_ylim())
        optima.set_xticks(TICKS, [f"{tick:.0e}" for tick in TICKS])
        optima.minorticks_off()
        figure.legend(loc="outside upper center", ncols=2)
        return figure
