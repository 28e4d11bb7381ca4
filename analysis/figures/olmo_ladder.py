"""Accuracy of a 13B model on eight tasks, predicted in two steps from 16 small runs (Bhagia 2024).

Step 1 fits L = A / N^alpha + B / D^beta + E to the task loss of each run, the mean of its last five
checkpoints, by Huber's loss of the logs. Step 2 fits accuracy as a sigmoid of that loss (`_olmo`).
"""

from __future__ import annotations

import numpy as np

from analysis.figures._olmo import Panel, draw, ends, link, sigmoid, tasks
from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.fit import fit
from scaling.laws.chinchilla import chinchilla

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
PRINTED = 1e-6  # digits of the numbers above


def reproduce() -> Reproduction:
    """The three predictions of each task beside the printed ones, and the measurement."""
    rows, panels, off = [], [], []
    for task, (loss, linked, both) in zip(tasks(PUBLISHED), PUBLISHED.values(), strict=True):
        name, target = task.name, task.target
        law = fit(chinchilla, ends(task.ladder), columns={"params": "params_nonembedding"})
        curve = link(task.ladder)
        measured = float(ends(target)["loss"].iloc[0])
        said = float(
            law.law.predict(
                law.estimates,
                params=target["params_nonembedding"].to_numpy()[-1:],
                tokens=target["tokens"].to_numpy()[-1:],
            )[0]
        )
        chained = float(sigmoid(said, *curve))
        rows += [
            Row(f"{name}: loss of step 1, bits/byte", loss, said, PRINTED),
            Row(f"{name}: accuracy by step 2", linked, float(sigmoid(measured, *curve)), PRINTED),
            Row(f"{name}: accuracy by both", both, chained, PRINTED),
        ]
        off.append((name, 100 * abs(chained / task.accuracy - 1)))
        span = np.linspace(min(said, measured) - 0.05, task.ladder["loss"].quantile(0.98), 80)
        line = span, sigmoid(span, *curve)
        panels.append(Panel(task, task.ladder, line, (said, chained), (measured, task.accuracy)))
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
        figure=draw(panels, "loss", "task loss, bits/byte", "step 2"),
    )
