"""Tables of `abilities` on the fitted runs: breaks, calibration, similar curves, samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.types import LEVEL
from analysis.inference.abilities.answers import Answers, answers_of
from analysis.inference.abilities.breaks import breaks, calibration
from analysis.inference.abilities.chains.pass_until import passing
from analysis.inference.abilities.fine_line import similarities
from analysis.inference.abilities.sampling import cheapest, curvature
from scaling.common.answers import AnswerPart, Estimate, Note, Rows
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

SAMPLES = (1, 10, 100)  # k of pass@k


def shapes(
    every: Sequence[Answers], rows: pd.DataFrame, fitted: Mapping[str, float]
) -> Iterator[AnswerPart]:
    """Breaks and calibration over the sizes, and the similarity of learning curves."""
    found, sure, alike, refused = [], [], [], set()
    for answers in every:
        try:
            found += [
                [answers.task, each.measure,
                 *map(Estimate.of, (each.linearity, each.breakthrough, each.discontinuity))]
                for each in breaks(answers, np.random.default_rng(0))
            ]  # fmt: skip
        except UserError as error:
            refused.add(str(error))
        sure += [
            [answers.task, each.params, each.brier, each.error] for each in calibration(answers)
        ]
        try:
            alike += [
                [answers.task, each.measure, each.neighbours, each.ends, each.seeds]
                for each in similarities(_checkpoints(rows, fitted, answers.task))
            ]
        except UserError as error:
            refused.add(str(error))
    heads = ("task", "measure", "linearity", "breakthrough", "discontinuity")
    if found:
        yield Rows("breaks", heads, found, above="\n")
    yield Rows("calibration", ("task", "params", "Brier", "calibration error"), sure, above="\n")
    if alike:
        heads = ("task", "measure", "neighbours", "least and largest", "seeds")
        yield Rows("similarities", heads, alike, above="\n")
    for each in sorted(refused):
        yield Note(each)


def samples(
    every: Sequence[Answers], params: float, rate: float | None, ratio: float, length: float,
    questions: float,
) -> Iterator[AnswerPart]:  # fmt: skip
    """pass@k of the asked size, the test of super-scaling, and the cheapest way to a rate."""
    passed, bent, spent = [], [], []
    for answers in every:
        if not answers.has_samples:
            continue
        try:
            law = passing(answers, np.random.default_rng(0))
            drawn = [law.at(params, k) for k in SAMPLES]
            ends = [(each[0], *percentile_interval(each[1:], LEVEL)) for each in drawn]
            passed.append([answers.task, *map(Estimate.of, ends)])
            bent.append([answers.task, Estimate.of(curvature(answers, np.random.default_rng(0)))])
        except UserError as error:
            yield Note(f"samples of {answers.task}: {error}")
            continue
        if rate is not None:
            sizes = sorted({*answers.params, params})
            ways = cheapest(law, sizes, rate, ratio, length, questions)
            least = min((each.cost for each in ways), default=0.0)
            spent += [
                [answers.task, each.params, each.samples, each.train, each.sample,
                 "cheapest" if each.cost == least else ""]
                for each in ways
            ]  # fmt: skip
    if passed:
        heads = ("task", *(f"pass@{k}" for k in SAMPLES))
        yield Rows("passing", heads, passed, above="\n")
        yield Rows("super_scaling", ("task", "curvature q"), bent, above="\n")
    if spent:
        heads = ("task", "params", "samples", "training FLOPs", "sampling FLOPs", "verdict")
        yield Rows("budgets", heads, spent, above="\n")
    elif rate is not None:
        yield Note(f"--pass-rate {rate:g}: no size passes at this rate, or no samples were drawn")


def _checkpoints(rows: pd.DataFrame, fitted: Mapping[str, float], task: str) -> list[Answers]:
    """The answers of the fitted runs at every step that all of them have answered."""
    own = rows[(rows["task"] == task) & (rows["kind"] == "choice")]
    own = own[own["run_id"].isin(list(fitted))]
    count = own.groupby("step")["run_id"].nunique()
    steps = sorted(count.index[count == own["run_id"].nunique()])
    return [answers_of(own[own["step"] == step], dict(fitted), task) for step in steps]
