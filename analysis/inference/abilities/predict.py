"""Predicted accuracies of a size by every chain, and how steady the measures are."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.types import LEVEL
from analysis.inference.abilities.answers import Answers, Array
from scaling.common import plugins
from scaling.common.errors import UserError

CHAINS = "analysis.inference.abilities.chains"
OF_SAMPLES = "pass_until"  # predicts the rate of passing, not the accuracy


@dataclass(frozen=True)
class Predicted:
    """One chain's prediction on one task; `refused` says why there is none."""

    task: str
    chain: str
    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    refused: str = ""

    @property
    def name(self) -> str:
        return f"{self.task}.{self.chain}"


def chains() -> tuple[str, ...]:
    """The chains known here."""
    return plugins.names(CHAINS)


def predict(answers: Answers, params: float, chain: str, level: float = LEVEL) -> Predicted:
    """One chain's accuracy of a new run of this size, inside [0, 1]."""
    rng = np.random.default_rng(zlib.crc32(f"{answers.task}/{chain}".encode()))
    made = plugins.find(CHAINS, chain, "chain", "predict")
    try:
        drawn = np.clip(made(answers, params, rng), 0, 1)
    except UserError as error:
        return Predicted(answers.task, chain, refused=str(error))
    low, high = percentile_interval(drawn[1:], level)
    return Predicted(answers.task, chain, float(drawn[0]), float(low), float(high))


def predict_all(every: Sequence[Answers], params: float) -> tuple[Predicted, ...]:
    """Every chain on every task."""
    return tuple(predict(answers, params, chain) for answers in every for chain in chains())


@dataclass(frozen=True)
class Steadiness:
    """A measure over the ladder.

    noise: sd over seeds of one size. signal: range of the sizes' means. decision: share of pairs of
    sizes that one seed each orders as the means do; nan of one seed. monotone: share of steps up in
    size that better it. rank: Spearman's correlation with N of each item, median over items.
    """

    measure: str
    signal: float
    noise: float
    monotone: float
    decision: float
    rank: float

    @property
    def ratio(self) -> float:
        return self.signal / self.noise if self.noise > 0 else np.nan


def steadiness(answers: Answers) -> tuple[Steadiness, ...]:
    """Of accuracy and the smooth measures before it, each rising with ability."""
    choices = answers.right - np.logaddexp(answers.right, answers.wrong)
    measures: Mapping[str, Array] = {
        "ln p of the right choice": answers.right,
        "p of the right choice": np.exp(answers.right),
        "p among the choices": np.exp(choices),
        "accuracy": answers.hits,
    }
    return tuple(_steady(name, values, answers.params) for name, values in measures.items())


def _steady(name: str, values: Array, params: Array) -> Steadiness:
    from scipy.stats import rankdata

    run, sizes = values.mean(1), np.unique(params)
    means = np.array([run[params == size].mean() for size in sizes])
    within = [run[params == size] for size in sizes if (params == size).sum() > 1]
    free = sum(len(each) - 1 for each in within)
    noise = (
        np.sqrt(sum(((each - each.mean()) ** 2).sum() for each in within) / free)
        if free
        else np.nan
    )
    agree = [
        (a < b) == (means[i] < means[j])
        for i, j in combinations(range(len(sizes)), 2)
        for a in run[params == sizes[i]]
        for b in run[params == sizes[j]]
    ]
    decision = float(np.mean(agree)) if free else np.nan
    ranks, size_ranks = rankdata(values, axis=0), rankdata(params)
    centred, own = ranks - ranks.mean(0), size_ranks - size_ranks.mean()
    spread = np.sqrt((centred**2).sum(0) * (own**2).sum())
    with np.errstate(invalid="ignore"):
        rank = np.where(spread > 0, own @ centred / np.maximum(spread, 1e-12), 0.0)
    return Steadiness(
        name, float(np.ptp(means)), float(noise), float(np.mean(np.diff(means) > 0)),
        decision, float(np.median(rank)),
    )  # fmt: skip
