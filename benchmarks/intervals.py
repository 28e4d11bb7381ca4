"""The picture of docs/intervals.md: Chinchilla's points fitted below a budget, and predicted above.

    WINDTUNNEL_DATA=../shared/data python benchmarks/intervals.py

Writes docs/intervals.png, and prints the share of the held-out runs inside the interval and inside
each of its parts. Two minutes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis import fit
from analysis.datasets import load
from analysis.plotting import style

BUDGET = 1e20  # FLOPs
SHOWN = 16.0  # percent: the first fits, of few rows, err by more
OUT = Path(__file__).parent.parent / "docs" / "intervals.png"
NESTED = (("constants",), ("constants", "run noise"), ("constants", "run noise", "law"))


def main() -> None:
    """Fit, predict, draw and print."""
    runs = load("chinchilla_epoch")
    compute = 6 * runs["params_total"] * runs["tokens"]
    result = fit(
        "chinchilla", runs, holdout=(compute > BUDGET).to_numpy(), drop_highest=5, bootstrap=1000
    )
    held = result.held_out
    assert held is not None
    said, reach = held.prediction, held.prediction.beyond["compute"]
    order = np.argsort(reach)
    print(f"{len(result.points)} runs fitted, {len(reach)} predicted: {said.contains}")
    with style.house_style():
        figure = style.panels(2)
        rolled, ahead = figure.axes
        for each in result.rolled:
            look = style.rung_style(each.rung, 10)
            rolled.plot(
                np.exp(each.distance), 100 * each.log_errors, linestyle="none",
                **{**look, "markersize": 3},
            )  # fmt: skip
        rolled.set_title("rolled forward inside the fitted rows")
        rolled.set_ylabel("measured above the prediction, %")
        for depth, parts in enumerate(NESTED):
            low, high = (100 * np.log(end / said.value) for end in said.interval(*parts))
            inside = np.mean((100 * np.log(held.measured / said.value) <= high) & (
                100 * np.log(held.measured / said.value) >= low))  # fmt: skip
            print(f"inside {', '.join(parts)}: {inside:.0%}")
            ahead.fill_between(
                reach[order], low[order], high[order], color=style.FITTED, lw=0,
                alpha=0.5 - 0.16 * depth, label=f"+ {parts[-1]}" if depth else parts[-1],
            )  # fmt: skip
        ahead.plot(reach, 100 * np.log(held.measured / said.value), "^", color=style.HELD,
                   markersize=3.5, label="measured")  # fmt: skip
        ahead.set_title(f"held out, above {BUDGET:g} FLOPs")
        ahead.legend(loc="lower left", ncols=2)
        for axes in figure.axes:
            axes.axhline(0, color=style.MUTED, linewidth=0.8)
            axes.set_xscale("log")
            axes.set_ylim(-SHOWN, SHOWN)
            axes.set_xlabel("times beyond the rows fitted")
        figure.savefig(OUT, dpi=150)


if __name__ == "__main__":
    main()
