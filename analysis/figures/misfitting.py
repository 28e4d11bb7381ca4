"""Effect of each choice of a fit on its answer, one at a time ((Mis)Fitting, Li et al. 2025).

The fit at the top takes Chinchilla's form, embeddings counted, and Huber 1e-3 on log residuals. It
has the last checkpoint of the best learning rate at each (N, D). Each other row changes one of
these. Shown are a = d ln N* / d ln C and D/N at 1e20 FLOPs, with 95 % intervals by bootstrap. A
diamond lies outside the interval of the first fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.types import LEVEL
from analysis.plotting.style import FITTED, HELD, MUTED, house_style, log_ticks
from scaling.common.answers import Ranged
from scaling.laws import Law
from scaling.laws.chinchilla import chinchilla

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

BUDGET = 1e20  # 6ND; the largest run has 7e19
RESAMPLES = 200
ABSOLUTE = 1e-7  # the width of a Huber loss that is absolute residuals


@dataclass(frozen=True)
class Variant:
    """One fit: which rows, which law, and the arguments of `fit`."""

    name: str
    rows: str = "best"
    law: Law = chinchilla
    options: Mapping[str, Any] = field(default_factory=dict)


BASE, EVERY_RATE, NO_EMBEDDINGS = "as described", "every learning rate", "embeddings not counted"
VARIANTS: dict[str, tuple[Variant, ...]] = {
    "": (Variant(BASE),),
    "objective": (
        Variant("Huber, delta 1e-4", options={"delta": 1e-4}),
        Variant("Huber, delta 1e-2", options={"delta": 1e-2}),
        Variant("absolute", options={"delta": ABSOLUTE}),
        Variant("squared", options={"objective": "log_squared"}),
        Variant("squared, not log", options={"objective": "raw_squared"}),
    ),
    "points": (
        Variant(EVERY_RATE, "final"),
        Variant("checkpoints from half-way", "second half", options={"cluster": "run_id"}),
        Variant("all checkpoints", "all", options={"cluster": "run_id"}),
    ),
    "outliers": (
        Variant("5 highest losses dropped", options={"drop_highest": 5}),
        Variant("20 highest losses dropped", options={"drop_highest": 20}),
    ),
    "range": (
        Variant("N below 2e8", "small"),
        Variant("N above 1e8", "large"),
        Variant("D above 1e9", "long"),
    ),
    "count": (Variant(NO_EMBEDDINGS, options={"params": "params_nonembedding"}),),
    "form": (Variant("alpha = beta", law=chinchilla.tied(beta="alpha")),),
}

SCIPY = {  # the same three fits by a SciPy grid search on the released table
    EVERY_RATE: {"alpha": 0.1921783589, "beta": 0.6359935226, "objective": 0.005311116107},
    BASE: {"alpha": 0.1300637800, "beta": 0.6700064565, "objective": 0.001038074601},
    NO_EMBEDDINGS: {"alpha": 0.0496315577, "beta": 0.6565094754, "objective": 0.001113732939},
}
_TOLERANCE = {"alpha": 1e-5, "beta": 1e-5, "objective": 1e-9}


@dataclass(frozen=True)
class Line:
    """One line of the figure: value, low, high."""

    group: str
    variant: Variant
    result: FitResult
    exponent: Ranged
    ratio: Ranged


def reproduce() -> Reproduction:
    """Every variant, fitted."""
    selections = _selections(load("misfitting"))
    answers = [
        _answer(group, variant, selections[variant.rows])
        for group, choices in VARIANTS.items()
        for variant in choices
    ]
    return Reproduction(
        title="How far the answer moves with the choices of a fit",
        source="Li, Kudugunta and Zettlemoyer 2025, arXiv 2502.18969",
        rows=_rows({answer.variant.name: answer.result for answer in answers}),
        notes=_notes(answers),
        figure=_draw(answers),
    )


def _selections(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    final = table[table["is_final"]]
    best = final.loc[final.groupby(["params_total", "tokens"])["loss"].idxmin()]
    return {
        "all": table,
        "second half": table[table["progress"] >= 0.5],
        "final": final,
        "best": best,
        "small": best[best["params_total"] < 2e8],
        "large": best[best["params_total"] > 1e8],
        "long": best[best["tokens"] > 1e9],
    }


def _answer(group: str, variant: Variant, rows: pd.DataFrame) -> Line:
    result = fit(variant.law, rows, bootstrap=RESAMPLES, **variant.options)
    names = result.law.parameters
    samples = dict(zip(names, result.samples.T, strict=True))

    def exponent(params: Mapping[str, Any]) -> Any:
        sizes = [result.law.optimal(params, flops)[0] for flops in (BUDGET, 10 * BUDGET)]
        return np.log10(sizes[1] / sizes[0])

    ends = percentile_interval(exponent(samples), LEVEL)
    value, low, high = (float(each) for each in result.optimal(BUDGET).tokens_per_param)
    own = float(exponent(result.estimates))
    return Line(group, variant, result, (own, float(ends[0]), float(ends[1])), (value, low, high))


def _rows(results: Mapping[str, FitResult]) -> tuple[Row, ...]:
    why = "a SciPy fit of the same rows; the paper prints no constants"
    return tuple(
        Row(
            f"{quantity}, {name}",
            value,
            results[name].objective if quantity == "objective" else results[name].params[quantity],
            _TOLERANCE[quantity],
            why,
        )
        for name, values in SCIPY.items()
        for quantity, value in values.items()
    )


def _notes(answers: list[Line]) -> tuple[str, ...]:
    first = answers[0]
    by_exponent = sorted(answers, key=lambda each: each.exponent[0])
    by_ratio = sorted(answers, key=lambda each: each.ratio[0])
    outside = [
        each.variant.name
        for each in answers
        if not first.exponent[1] <= each.exponent[0] <= first.exponent[2]
    ]
    flat = [each.variant.name for each in answers if each.result.estimates["E"] == 0]
    return (
        f"a runs from {by_exponent[0].exponent[0]:.2f} ({by_exponent[0].variant.name}) to "
        f"{by_exponent[-1].exponent[0]:.2f} ({by_exponent[-1].variant.name}); the first fit gives "
        f"{first.exponent[0]:.2f}, 95 % {first.exponent[1]:.2f} to {first.exponent[2]:.2f}",
        f"D/N at 1e20 FLOPs runs from {by_ratio[0].ratio[0]:.1f} ({by_ratio[0].variant.name}) to "
        f"{by_ratio[-1].ratio[0]:.1f} ({by_ratio[-1].variant.name})",
        f"outside the interval of the first fit lie: {', '.join(outside)}",
        f"E is not identified on this range; it is 0 with: {', '.join(flat)}",
    )


def _draw(answers: list[Line]) -> Figure:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(8.6, 6.2), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        places = _places(answers)
        for axes, kind in ((left, "exponent"), (right, "ratio")):
            first = getattr(answers[0], kind)
            axes.axvspan(first[1], first[2], color=FITTED, alpha=0.12, lw=0)
            axes.axvline(first[0], color=FITTED, linewidth=0.9, linestyle="--")
            for place, answer in zip(places, answers, strict=True):
                value, low, high = getattr(answer, kind)
                color = FITTED if first[1] <= value <= first[2] else HELD
                axes.plot([low, high], [place, place], color=color, linewidth=1.6)
                axes.plot(value, place, "o" if color == FITTED else "D", color=color, markersize=6)
            axes.grid(visible=False, axis="y")
        left.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=":")
        right.axvline(20, color=MUTED, linewidth=0.9, linestyle=":")
        left.set_yticks(places, [answer.variant.name for answer in answers])
        left.set_ylim(places[-1] + 0.8, places[0] - 0.8)
        for group in VARIANTS:
            mine = [p for p, answer in zip(places, answers, strict=True) if answer.group == group]
            right.annotate(
                group, (1.02, mine[0]), xycoords=("axes fraction", "data"), va="center",
                fontsize=9, color=MUTED, annotation_clip=False,
            )  # fmt: skip
        left.set_xlabel(r"$a$ of $N^* \propto C^a$ (dotted: 0.5)")
        right.set_xscale("log")
        right.set_xlabel("tokens per parameter at 1e20 FLOPs (dotted: 20)")
        log_ticks(right.xaxis, *right.get_xlim())
        return figure


def _places(answers: list[Line]) -> list[float]:
    """A line each, with a gap between groups."""
    places, at = [0.0], 0.0
    for before, answer in pairwise(answers):
        at += 1.0 if answer.group == before.group else 1.6
        places.append(at)
    return places
