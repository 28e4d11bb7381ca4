"""Noise of eight tasks over the last ten checkpoints of a 1.3B run, loss beside accuracy (Bhagia).

    relative SD = sd / mean of the last ten evaluations of 1.3B at ten times Chinchilla's data

The paper keeps the tasks whose noise is small against what is to be predicted. The sd is that of a
population (n, not n - 1, in the denominator), as the released table has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.figures._reproduction import Reproduction, Row
from analysis.plotting.style import FITTED, HELD, MUTED, house_style

if TYPE_CHECKING:
    import pandas as pd

RUN, LAST = "1B-10xC", 10
PUBLISHED = {  # relative SD of the task loss and of the accuracy, in percent
    "OpenBookQA": (0.341535187, 2.511884804),
    "CommonsenseQA": (0.555955785, 0.552930356),
    "ARC-Easy": (0.657598292, 0.612545955),
    "ARC-Challenge": (0.403927253, 1.001776103),
    "MMLU": (0.259256673, 0.275835400),
    "Social IQa": (0.225652864, 0.608173840),
    "PIQA": (0.194875756, 0.313109654),
    "HellaSwag": (0.091515020, 0.246422323),
}
PRINTED = 1e-8


def reproduce() -> Reproduction:
    """The relative noise of each task beside the released table."""
    table = load("olmo_ladder_tasks")
    run = table[table["run_id"] == RUN]
    rows, ours = [], {}
    for task, said in PUBLISHED.items():
        last = run[run["task"] == task].iloc[-LAST:]
        ours[task] = _relative(last["loss"]), _relative(last["accuracy"])
        rows += [
            Row(f"{task}: relative SD of {what}, %", printed, found, PRINTED)
            for what, printed, found in zip(("loss", "accuracy"), said, ours[task], strict=True)
        ]
    quieter = sum(loss < accuracy for loss, accuracy in ours.values())
    return Reproduction(
        title="Noise of tasks between checkpoints",
        source="Bhagia et al. 2024, arXiv 2412.04403, variance analysis; allenai/OLMo-ladder",
        rows=tuple(rows),
        notes=(
            f"the loss is the quieter measure on {quieter} of {len(ours)} tasks",
            "ten checkpoints know an sd to about a quarter; neighbours are correlated, so that "
            "noise between seeds is larger",
        ),
        figure=_draw(run, ours),
    )


def _relative(values: pd.Series) -> float:
    return 100 * float(values.std(ddof=0) / values.mean())


def _draw(run: pd.DataFrame, ours: dict[str, tuple[float, float]]) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(7.0, 3.8), layout="constrained")
        curves, bars = figure.subplots(1, 2)
        for task, color, style in (("OpenBookQA", HELD, "--"), ("HellaSwag", FITTED, "-")):
            own = run[run["task"] == task]
            late = own.iloc[len(own) // 3 :]
            curves.plot(late["tokens"] / 1e9, late["accuracy"], style, color=color, lw=0.9,
                        label=task)  # fmt: skip
        curves.set(xlabel="tokens, 1e9", ylabel="accuracy of 1.3B")
        curves.legend()
        places = np.arange(len(ours))
        bars.plot([loss for loss, _ in ours.values()], places, "o", color=FITTED, label="loss")
        bars.plot([hits for _, hits in ours.values()], places, "D", color="none",
                  markeredgecolor=HELD, label="accuracy")  # fmt: skip
        for place, ends in zip(places, ours.values(), strict=True):
            bars.plot(ends, (place, place), color=MUTED, lw=0.6, zorder=0)
        bars.set_yticks(places, list(ours))
        bars.set(xlabel="relative SD of ten checkpoints, %", xlim=(0, None))
        bars.legend()
        return figure
