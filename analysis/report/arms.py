"""The labels of a study, side by side: a fit for each, the gain between them, and their runs."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from analysis.fitting.result import FitResult
from analysis.inference.compute_gain import gain
from analysis.inference.forecast import Assessment
from analysis.plotting.numbers import scientific
from analysis.plotting.style import (
    FITTED,
    HELD,
    INK,
    LINES,
    MARKERS,
    MUTED,
    canvas,
    house_style,
    log_log,
    log_ticks,
)
from analysis.readings._finding import TextTable
from analysis.tables.study import StudyRecords
from scaling.common.answers import Estimate
from scaling.common.errors import UserError

SHADES = (FITTED, HELD, INK, MUTED)


def shown(study: StudyRecords, assessment: Assessment) -> StudyRecords:
    """The runs of the fit that the page shows: of the first label, where there are labels."""
    return study.of(next(iter(assessment.arms))) if assessment.arms else study


def notice(assessment: Assessment) -> str:
    """A line on labels: nothing is taken as one."""
    first, *_ = names = list(assessment.arms)
    return (
        f"the runs have {len(names)} labels ({', '.join(names)}): each has its own fit, and the "
        f"constants, card and figures of the law are those of '{first}'"
    )


def tables(assessment: Assessment) -> tuple[TextTable, ...]:
    """A fit for each label, and the gain of each over the one before it."""
    if not assessment.arms:
        return ()
    fits = {label: arm.result for label, arm in assessment.arms.items()}
    budget = min(float(each.points.rows["flops_6nd"].max()) for each in fits.values())
    return (
        TextTable(
            "A fit for each label",
            "Runs of different labels are never fitted as one",
            ("label", "runs", "status", "constants", "rms, %"),
            tuple(_fit(label, result) for label, result in fits.items()),
        ),
        TextTable(
            "The gain between the labels",
            "The factor of compute that B needs to reach the loss of A at this budget, the largest "
            "that all have run; above 1, A is the better",
            ("A", "B", "budget", "loss of A", "gain"),
            tuple(_gain(a, b, fits, budget) for a, b in pairwise(fits)),
        ),
    )


def _fit(label: str, result: FitResult) -> tuple[str, ...]:
    constants = ", ".join(f"{name} {value:.4g}" for name, value in result.params.items())
    rms = 100 * math.sqrt(float((result.residuals**2).mean()))
    return label, str(len(result.points)), str(result.status), constants, f"{rms:.2f}"


def _gain(a: str, b: str, fits: dict[str, FitResult], budget: float) -> tuple[str, ...]:
    try:
        found = gain(fits[a], fits[b], budget=budget)
    except UserError as error:
        return a, b, scientific(budget), "-", str(error)
    ends = found.undetermined or str(Estimate(found.value, found.low, found.high, 3))
    return a, b, scientific(budget), f"{found.loss:.4g}", ends


def draw(study: StudyRecords, assessment: Assessment) -> Any:
    """Loss against compute, a shade and a mark for each label, with the least loss of its law."""
    with house_style():
        figure, axes = canvas()
        for at, (label, arm) in enumerate(assessment.arms.items()):
            shade = SHADES[at % len(SHADES)]
            flops = arm.result.points.rows["flops_6nd"].to_numpy(float)
            axes.plot(
                flops, arm.result.points.loss, linestyle="none", color=shade, fillstyle="none",
                marker=MARKERS[at % len(MARKERS)], label=label,
            )  # fmt: skip
            try:
                best = arm.result.optimal(np.geomspace(flops.min(), 1.5 * flops.max(), 60))
            except UserError:
                continue  # the rows determine no optimum; the table of fits says so
            axes.plot(best.flops, best.loss[0], color=shade, linestyle=LINES[1 + at % 3])
        log_log(axes, "compute 6ND, FLOPs", f"validation loss, {study.unit}")
        log_ticks(axes.yaxis, *axes.get_ylim())
        figure.legend(loc="outside upper center", ncols=3)
        return figure
