"""The larger models of a family from its smallest, by skills that all families share (Polo 2024).

Of each family with several sizes all but the smallest model are left out, and predicted by a law
fitted to that one and to the other families. The errors published are of another table: the Open
LLM Leaderboard, 19 families, the same six benchmarks, skills through a logistic curve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.datasets import load
from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.bootstrap import mean_interval
from analysis.fitting.types import LEVEL
from analysis.inference.abilities import skills
from analysis.inference.abilities.answers import Array
from analysis.plotting.style import FITTED, MUTED, house_style

if TYPE_CHECKING:
    import pandas as pd

CHANCE = {
    "mmlu": 0.25,
    "arc_c": 0.25,
    "hellaswag": 0.25,
    "winograd": 0.5,
    "truthfulqa": 0.0,
    "gsm8k": 0.0,
}
Places = NDArray[np.bool_] | NDArray[np.intp]
Words = NDArray[np.str_]


class Method(NamedTuple):
    """A law of the benchmarks: jointly by so many skills, or each alone by one."""

    name: str
    published: float  # mean absolute error, per cent
    skills: int
    alone: bool = False
    shared: bool = False  # all families are one
    compute: bool = False  # x is ln C alone


METHODS = (
    Method("one law for all families", 7.36, 1, alone=True, shared=True),
    Method("each benchmark by compute", 4.90, 1, alone=True, compute=True),
    Method("each benchmark by N and D", 5.69, 1, alone=True),
    Method("one skill", 8.36, 1),
    Method("two skills", 5.83, 2),
    Method("three skills", 5.34, 3),
)


def reproduce() -> Reproduction:
    """The mean absolute error of each method over families, per cent of the items."""
    models = load("observational_scaling")
    models = models[models["flops_6nd"] > 0].dropna(subset=list(CHANCE))
    errors = {method.name: left_out(models, method) for method in METHODS}
    gain = errors["each benchmark by N and D"] - errors["two skills"]
    value, low, high = mean_interval(gain, LEVEL)
    return Reproduction(
        title="A family from its smallest model: by skills that families share, and without",
        source="Polo et al. 2024, arXiv 2412.06540, released errors of one model a family; "
        "table from ryoungj/ObsScaling",
        rows=tuple(
            Row(
                method.name,
                method.published,
                float(errors[method.name].mean()),
                None,
                "other table",
            )
            for method in METHODS
        ),
        notes=(
            f"{len(gain)} families; mean absolute errors in per cent of the items, families alike",
            f"two skills less than each benchmark by N and D, paired by family: {value:.2f} "
            f"[{low:.2f}, {high:.2f}]",
            "with a trained curve in place of the logistic one the paper has 4.29 for two skills",
        ),
        figure=_draw(errors),
    )


def left_out(models: pd.DataFrame, method: Method) -> Array:
    """The error of each family with several sizes, by its models above the smallest."""
    family = models["family"].to_numpy(str)
    names = np.full(len(family), "all") if method.shared else family
    size, scores = models["params_total"].to_numpy(float), models[list(CHANCE)].to_numpy(float)
    x = skills.translog(size, models["tokens"].to_numpy(float))
    if method.compute:
        x = np.log(models[["flops_6nd"]].to_numpy(float))
    places = np.arange(len(CHANCE))
    groups = np.split(places, len(places)) if method.alone else [places]
    found = []
    for name in np.unique(family):
        larger = (family == name) & (size > size[family == name].min())
        if larger.any():
            made = [_predicted(x, names, scores, each, larger, method.skills) for each in groups]
            found.append(np.abs(np.hstack(made) - scores[larger]).mean())
    return 100 * np.array(found)


def _predicted(
    x: Array, names: Words, scores: Array, columns: Places, larger: Places, count: int
) -> Array:
    chance = np.array(list(CHANCE.values()))[columns]
    seen = [str(name) for name in names[~larger]]
    fitted = skills.fit(x[~larger], seen, scores[~larger][:, columns], chance, count)
    return fitted.predict(x[larger], [str(name) for name in names[larger]])


def _draw(errors: dict[str, Array]) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(4.5, 2.8), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(METHODS))
        axes.plot([each.published for each in METHODS], places, "o", color="none",
                  markeredgecolor=MUTED, label="published, another table")  # fmt: skip
        intervals = np.array([mean_interval(errors[each.name], LEVEL) for each in METHODS])
        low, high = intervals[:, 0] - intervals[:, 1], intervals[:, 2] - intervals[:, 0]
        axes.errorbar(intervals[:, 0], places, xerr=[low, high], fmt="s", ms=4, color=FITTED,
                      label="ours, mean over families with its 95 % interval")  # fmt: skip
        axes.set_yticks(places, [each.name for each in METHODS])
        axes.invert_yaxis()
        axes.set(xlabel="mean error, % of the items", xlim=(0, None))
        figure.legend(loc="outside upper center", fontsize=7)
        return figure
