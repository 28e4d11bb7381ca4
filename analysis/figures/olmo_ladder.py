"""Accuracy of a 13B model on eight tasks, predicted in two steps from 16 small runs (Bhagia 2024).

Step 1 fits L = A / N^alpha + B / D^beta + E to the task loss of each run, the mean of its last five
checkpoints, by Huber's loss of the logs. Step 2 fits accuracy = a / (1 + exp(-k (L - x))) + b to
all checkpoints but a run's first tenth, in running means of five, and the point of no loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares

from analysis.datasets import load
from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.fit import fit
from analysis.plotting.style import FITTED, HELD, INK, MUTED, house_style
from scaling.laws._law import Array
from scaling.laws.chinchilla import chinchilla

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = {  # of 13B-5T: task loss by step 1, accuracy by step 2, accuracy by both
    "MMLU": (0.750156, 0.513756, 0.512680),
    "HellaSwag": (0.653177, 0.841567, 0.853036),
    "ARC-Challenge": (0.783324, 0.603024, 0.526710),
    "ARC-Easy": (0.593105, 0.819384, 0.772416),
    "PIQA": (0.874795, 0.807461, 0.820804),
    "CommonsenseQA": (0.661728, 0.717276, 0.776089),
    "Social IQa": (0.991574, 0.633747, 0.599482),
    "OpenBookQA": (1.275007, 0.457223, 0.448648),
}
SMOOTHED, SKIPPED = 5, 0.1  # checkpoints of a mean, and the first share of a run left out
PRINTED = 1e-6  # digits of the numbers above
START, LOW, HIGH = (-0.75, 0.9, 3.0, 1.0), (-1, 0, 0, 0), (0, np.inf, np.inf, 1)


def reproduce() -> Reproduction:
    """The three predictions of each task beside the printed ones, and the measurement."""
    table = load("olmo_ladder_tasks")
    rows, drawn, off = [], [], []
    for task, (loss, linked, both) in PUBLISHED.items():
        own = table[table["task"] == task]
        ladder, target = own[~own["is_target"]], own[own["is_target"]]
        last = ends(ladder)
        law = fit(chinchilla, last, columns={"params": "params_nonembedding"})
        curve = link(ladder)
        measured = float(ends(target)["loss"].iloc[0])
        said = law.law.predict(
            law.estimates,
            params=target["params_nonembedding"].to_numpy()[-1:],
            tokens=target["tokens"].to_numpy()[-1:],
        )
        chained = float(sigmoid(said, *curve)[0])
        accuracy = float(smooth(target["accuracy"])[-1])
        rows += [
            Row(f"{task}: loss of step 1, bits/byte", loss, float(said[0]), PRINTED),
            Row(f"{task}: accuracy by step 2", linked, float(sigmoid(measured, *curve)), PRINTED),
            Row(f"{task}: accuracy by both", both, chained, PRINTED),
        ]
        off.append((task, 100 * abs(chained / accuracy - 1)))
        drawn.append((task, ladder, curve, float(said[0]), chained, measured, accuracy))
    worst = max(off, key=lambda each: each[1])
    mean = float(np.mean([each for _, each in off]))
    return Reproduction(
        title="The accuracy of 13B on eight tasks, from runs of 190M to 1.3B",
        source="Bhagia et al. 2024, arXiv 2412.04403, Figs. 2 to 4; runs from allenai/OLMo-ladder",
        rows=tuple(rows),
        notes=(
            f"both steps err by {mean:.1f} % of the accuracy in the mean, most on {worst[0]} "
            f"({worst[1]:.1f} %)",
            "the exact minimum of step 1 differs from the printed loss by up to "
            f"{max(abs(r.difference) for r in rows[::3]):.1g} bits/byte",
        ),
        figure=_draw(drawn),
    )


def sigmoid(x: Any, a: float, x0: float, k: float, b: float) -> Any:
    return a / (1 + np.exp(-k * (x - x0))) + b


def smooth(values: pd.Series) -> Array:
    return values.rolling(SMOOTHED, min_periods=1).mean().to_numpy()


def ends(runs: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run, with the mean loss of its last checkpoints."""
    last = runs[runs["last"]].set_index("run_id", drop=False)
    means = {name: own["loss"].iloc[-SMOOTHED:].mean() for name, own in runs.groupby("run_id")}
    return last.assign(loss=[means[name] for name in last.index])


def link(runs: pd.DataFrame) -> Array:
    """a, x, k and b by least squares."""
    losses, hits = [np.array([0.0])], [np.array([1.0])]
    for _, own in runs.groupby("run_id"):
        first = int(np.ceil(SKIPPED * len(own)))
        losses.append(smooth(own["loss"].iloc[first:]))
        hits.append(smooth(own["accuracy"].iloc[first:]))
    x, y = np.concatenate(losses), np.concatenate(hits)
    found = least_squares(
        lambda theta: sigmoid(x, *theta) - y, START, bounds=(LOW, HIGH), xtol=1e-12, ftol=1e-12
    )
    made: Array = found.x
    return made


def _draw(drawn: list[Any]) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(6.5, 7.5), layout="constrained")
        panels = figure.subplots(4, 2).ravel()
        for axes, (task, ladder, curve, said, chained, measured, accuracy) in zip(
            panels, drawn, strict=True
        ):
            axes.plot(ladder["loss"], ladder["accuracy"], ".", ms=1.5, color=MUTED, label="ladder")
            span = np.linspace(min(said, measured) - 0.05, ladder["loss"].quantile(0.98), 80)
            axes.plot(span, sigmoid(span, *curve), color=INK, lw=1.0, label="step 2")
            axes.plot(said, chained, "D", ms=5, color="none", markeredgecolor=FITTED,
                      label="13B, predicted")  # fmt: skip
            axes.plot(measured, accuracy, "*", ms=8, color=HELD, label="13B, measured")
            axes.set(title=task, xlabel="task loss, bits/byte", ylabel="accuracy")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
        return figure
