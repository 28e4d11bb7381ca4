"""Loss and downstream error of two over-trained runs, predicted from six smaller ones (Gadre 2024).

Least squares fits the loss law to five RedPajama runs: 11M to 411M parameters at 20 tokens per
parameter, and 11M at 320. The error law is fitted to the same and a 1.4B run. They predict a 1.4B
run at 640 tokens per parameter and a 6.9B run at 20, the error from the predicted loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.fit import fit
from analysis.inference.abilities.chained_laws import chained
from analysis.plotting.numbers import quantity
from analysis.plotting.style import FITTED, HELD, INK, LINES, MUTED, house_style, log_ticks
from scaling.laws._law import Array
from scaling.laws.error import error
from scaling.laws.overtraining import best_ratio, overtraining, run_at

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting.result import FitResult

ERROR = "err_avg17"
TARGETS = {  # relative errors in percent, as the authors' notebook prints them: loss, error
    "rpj-open_lm_1b-32.0": ("1.4B, M = 640", 0.7103, 3.6365),
    "rpj-open_lm_7b-1.0": ("6.9B, M = 20", 0.7320, 0.0464),
}
PRINTED = 5e-5  # half of the last digit printed, in percent


def reproduce() -> Reproduction:
    """The four errors of the two targets, and both laws with their runs."""
    runs = load("gadre_overtraining")
    runs = runs[runs["dataset"] == "rpj"].set_index("run_id", drop=False)
    loss_law = fit(
        overtraining, runs[runs["in_loss_fit"]], objective="raw_squared",
        bootstrap=300, resampling="dirichlet",
    )  # fmt: skip
    error_law = fit(
        error, runs[runs["in_error_fit"]], loss=ERROR, objective="raw_squared",
        bootstrap=300, resampling="dirichlet",
    )  # fmt: skip
    targets = runs.loc[list(TARGETS)]
    params, tokens = targets["params_total"].to_numpy(), targets["tokens"].to_numpy()
    losses = loss_law.predict(params=params, tokens=tokens)
    errors = chained(loss_law, error_law, params=params, tokens=tokens)

    rows = []
    for which, measured, made in ((0, "loss", losses), (1, ERROR, errors)):
        what = "C4 loss" if measured == "loss" else "17-task error"
        off = 100 * np.abs(made.value / targets[measured].to_numpy() - 1)
        rows += [
            Row(f"{name} {what}, relative error, %", published[which], float(ours), PRINTED)
            for (name, *published), ours in zip(TARGETS.values(), off, strict=True)
        ]
    return Reproduction(
        title="Over-training: loss and downstream error predicted from small runs",
        source="Gadre et al. 2024, arXiv 2403.08540, Fig. 1; runs from mlfoundations/scaling",
        rows=tuple(rows),
        notes=(
            *(
                f"{name}: loss {losses.value[k]:.3f} (95 %: {losses.low[k]:.2f} to "
                f"{losses.high[k]:.2f}), 17-task error {errors.value[k]:.3f} (95 %: "
                f"{errors.low[k]:.2f} to {errors.high[k]:.2f})"
                for k, (name, *_) in enumerate(TARGETS.values())
            ),
            "those intervals (of a new run for the loss, of the constants for the error) are far "
            "wider than the errors: five runs for four constants do not support such small errors",
            _elsewhere(runs, loss_law),
            f"the fitted law puts the best ratio at {float(best_ratio(loss_law.params)):.1f} "
            f"tokens per parameter, below every ratio it was fitted to; at 5 the runs are "
            f"{_at_five(runs, loss_law)} % above it: do not read an optimum from this fit",
        ),
        figure=_draw(runs, loss_law, error_law, losses.value, errors.value),
    )


def _off(runs: pd.DataFrame, result: FitResult) -> pd.Series:
    """Measured over predicted loss, less one, in percent."""
    predicted = result.predict(
        params=runs["params_total"].to_numpy(), tokens=runs["tokens"].to_numpy()
    )
    return 100 * (runs["loss"] / predicted.value - 1)


def _elsewhere(runs: pd.DataFrame, result: FitResult) -> str:
    others = runs[(runs["tokens_per_param"] >= 20) & ~runs["in_loss_fit"]]
    off = _off(others, result).abs()
    return (
        f"over all {len(off)} other RedPajama runs at 20 or more tokens per parameter the loss law "
        f"is off by {off.median():.2f} % in the median and {off.max():.1f} % at worst "
        f"({off.idxmax()})"
    )


def _at_five(runs: pd.DataFrame, result: FitResult) -> str:
    off = _off(runs[runs["tokens_per_param"] == 5], result)
    return f"{off.min():.1f} to {off.max():.0f}"


def _draw(
    runs: pd.DataFrame, loss_law: FitResult, error_law: FitResult, losses: Array, errors: Array
) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(4.5, 6.8), layout="constrained")
        above, below = figure.subplots(2)
        kinds = {
            "other runs": ~(runs["in_error_fit"] | runs["is_extrapolation_target"]),
            "fitted": runs["in_loss_fit"],
            "fitted, error only": runs["in_error_fit"] & ~runs["in_loss_fit"],
            "target, measured": runs["is_extrapolation_target"],
        }
        looks: dict[str, dict[str, Any]] = {
            "other runs": {"marker": "o", "color": "none", "markeredgecolor": MUTED},
            "fitted": {"marker": "s", "color": FITTED},
            "fitted, error only": {"marker": "^", "color": FITTED},
            "target, measured": {"marker": "*", "color": HELD, "markersize": 12},
        }
        for axes, x, y in ((above, "flops_6nd", "loss"), (below, "loss", ERROR)):
            for name, mask in kinds.items():
                axes.plot(
                    runs.loc[mask, x], runs.loc[mask, y], linestyle="none", label=name, zorder=3,
                    **looks[name],
                )  # fmt: skip

        curves = []
        for line, ratio in zip(LINES, (20, 320, 640), strict=False):
            spent = runs.loc[runs["tokens_per_param"] == ratio, "flops_6nd"]
            flops = np.geomspace(spent.min(), spent.max(), 60)
            curve = loss_law.law.predict(loss_law.estimates, **run_at(flops, ratio))
            curves += above.plot(
                flops, curve, color=INK, linestyle=line, lw=1.0, label=f"law at M = {ratio}"
            )
        above.legend(handles=curves, loc="upper right")
        above.set(xscale="log", yscale="log", xlabel="compute 6ND, FLOPs")
        above.set_ylabel("loss on C4, nats/token")
        log_ticks(above.yaxis, *above.get_ylim())

        span = np.linspace(runs["loss"].min() - 0.05, runs["loss"].max() + 0.05, 120)
        below.plot(span, error_law.law.predict(error_law.estimates, loss=span), color=INK, lw=1.0)
        below.plot(
            losses, errors, linestyle="none", marker="D", color="none",
            markeredgecolor=HELD, label="target, predicted", zorder=4,
        )  # fmt: skip
        below.set(xlabel="loss on C4, nats/token", ylabel="mean error of 17 tasks")
        figure.legend(*below.get_legend_handles_labels(), loc="outside upper center", ncols=2)
        sizes = f"{quantity(runs['params_total'].min())} to {quantity(runs['params_total'].max())}"
        above.set_title(f"RedPajama runs, {sizes} parameters", loc="left", fontsize=9, color=MUTED)
        return figure
