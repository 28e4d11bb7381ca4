"""Zero-shot accuracy of Pythia models over training, and without duplicates (Biderman 2023).

The released evaluations of the last checkpoints against the paper's tables, which print the models
trained on the whole Pile without examples, and those of the deduplicated Pile with five. The paper
finds no clear benefit of deduplication: the difference is taken model by model and task by task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.bootstrap import mean_interval
from analysis.fitting.types import LEVEL
from analysis.plotting.numbers import quantity, ranged
from analysis.plotting.style import FITTED, HELD, MUTED, house_style, log_ticks, rung_style

if TYPE_CHECKING:
    import pandas as pd

LAST = 143_000
TASKS = {
    "lambada_openai": "LAMBADA",
    "piqa": "PIQA",
    "arc_easy": "ARC-Easy",
    "arc_challenge": "ARC-Challenge",
    "winogrande": "WinoGrande",
    "sciq": "SciQ",
    "logiqa": "LogiQA",
}
PUBLISHED = (  # model, task, shots, metric, printed value
    ("pythia-12b", "lambada_openai", "zero", "ppl", 3.92),
    ("pythia-6.9b", "lambada_openai", "zero", "ppl", 4.45),
    ("pythia-12b", "lambada_openai", "zero", "acc", 70.46),
    ("pythia-6.9b", "lambada_openai", "zero", "acc", 67.28),
    ("pythia-12b", "arc_challenge", "zero", "acc", 31.8),
    ("pythia-12b", "arc_easy", "zero", "acc", 70.2),
    ("pythia-12b", "piqa", "zero", "acc", 76.0),
    ("pythia-6.9b", "piqa", "zero", "acc", 75.2),
    ("pythia-12b", "winogrande", "zero", "acc", 63.9),
    ("pythia-6.9b", "winogrande", "zero", "acc", 60.9),
    ("pythia-2.8b", "winogrande", "zero", "acc", 59.4),
    ("pythia-12b-deduped", "arc_challenge", "five", "acc", 36.8),
    ("pythia-12b-deduped", "arc_easy", "five", "acc", 71.5),
    ("pythia-12b-deduped", "piqa", "five", "acc", 76.7),
    ("pythia-12b-deduped", "winogrande", "five", "acc", 66.6),
)
SHOWN, FIRST = ("lambada_openai", "arc_easy"), 2e9  # tokens: before it all models guess


def reproduce() -> Reproduction:
    """The printed values, and the mean gain of deduplication with its interval over models."""
    table = load("pythia_evals")
    last = table[table["step"] == LAST].groupby(["model", "task", "shots", "metric"])["value"]
    means = last.mean()
    rows = []
    for model, task, shots, metric, printed in PUBLISHED:
        scale, digits = (1, 2) if metric == "ppl" else (100, 2 if "lambada" in task else 1)
        unit = "perplexity" if metric == "ppl" else "accuracy, %"
        ours = scale * float(means[model, task, shots, metric])
        name = f"{model}, {TASKS[task]}, {shots} shots: {unit}"
        rows.append(Row(name, printed, ours, 0.5001 * 10**-digits))
    gains = _gains(means)
    gain = mean_interval(gains.mean(axis=1), LEVEL)
    return Reproduction(
        title="Pythia: accuracy over training, and without duplicates",
        source="Biderman et al. 2023, arXiv 2304.01373, appendix; EleutherAI/pythia, evals",
        rows=tuple(rows),
        notes=(
            f"deduplication changes zero-shot accuracy by {ranged(gain, '.2f', ' points')} in the "
            f"mean over {len(gains)} sizes and {len(TASKS)} tasks ({LEVEL:.0%}, over sizes)",
            "the values of five shots that leaderboards quote for 12B are of the deduplicated one",
        ),
        figure=_draw(table, gains),
    )


def _gains(means: pd.Series) -> pd.DataFrame:
    """Accuracy without duplicates less that with them, in percent: models by tasks."""
    import pandas as pd

    own = means.xs("zero", level="shots").xs("acc", level="metric").unstack("task")
    sizes = [name for name in own.index if f"{name}-deduped" in own.index]
    found = {
        name: 100 * (own.loc[f"{name}-deduped"] - own.loc[name])[list(TASKS)] for name in sizes
    }
    return pd.DataFrame(found).T.dropna()


def _draw(table: pd.DataFrame, gains: pd.DataFrame) -> Any:
    from matplotlib.figure import Figure

    zero = table[(table["shots"] == "zero") & (table["metric"] == "acc") & table["on_schedule"]]
    whole = zero[~zero["model"].str.endswith("deduped")]
    sizes = sorted(whole["params_nonembedding"].unique())
    with house_style():
        figure = Figure(figsize=(8.6, 3.9), layout="constrained")
        *curves, bars = figure.subplots(1, 3)
        for axes, task in zip(curves, SHOWN, strict=True):
            for at, size in enumerate(sizes):
                own = whole[(whole["task"] == task) & (whole["params_nonembedding"] == size)]
                own = own[own["tokens"] > FIRST].groupby("tokens")["value"].mean()
                axes.plot(own.index, 100 * own, lw=1.0, ms=2.5, label=quantity(size),
                          **rung_style(at, len(sizes)))  # fmt: skip
            axes.set(title=TASKS[task], xscale="log", xlabel="tokens", ylabel="accuracy, %")
            log_ticks(axes.xaxis, *axes.get_xlim())
        places = np.arange(len(TASKS))
        for place, task in zip(places, TASKS, strict=True):
            bars.plot(gains[task], np.full(len(gains), place), "o", ms=3, color="none",
                      markeredgecolor=FITTED)  # fmt: skip
            bars.plot(gains[task].mean(), place, "D", ms=5, color=HELD)
        bars.axvline(0, color=MUTED, lw=0.8)
        bars.set_yticks(places, list(TASKS.values()))
        bars.set(title="without duplicates", xlabel="gain of accuracy, points")
        figure.legend(*curves[0].get_legend_handles_labels(), loc="outside upper center", ncols=8,
                      title="parameters without embeddings")  # fmt: skip
        return figure
