"""Pools of one text by quality: the best filter at each budget, and how soon a pool is used up.

A run's label names its pools, the worst first: q2+q3+q4. The filters are the best pool alone, the
two best, and so on. To the runs of each single pool the law of scaling/laws/filtering.py is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from analysis.fitting.bootstrap import mean_interval
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.types import LEVEL
from analysis.plotting.numbers import quantity, ranged
from analysis.plotting.style import house_style, log_log, rung_style
from analysis.readings._finding import Picture, TextTable
from analysis.tables.study import StudyRecords
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

RESAMPLES = 100
FEWEST = 6  # runs of a pool that its four constants need
TOGETHER = "+"

Losses = Mapping[float, tuple[float, ...]]  # of the seeds, by the tokens of the run


@dataclass(frozen=True)
class Filtering:
    """The losses of every label by tokens, and the law of each single pool."""

    study: StudyRecords
    losses: Mapping[str, Losses]
    filters: tuple[str, ...]  # labels, the strictest first
    laws: Mapping[str, FitResult]  # by the pool

    @property
    def best(self) -> Mapping[float, tuple[str, Ranged]]:
        """By the tokens at which all filters ran: the best one, and the loss of the strictest over
        it, with an interval over seeds."""
        found = {}
        for tokens in sorted(set.intersection(*(set(self.losses[each]) for each in self.filters))):
            own = {label: self.losses[label][tokens] for label in self.filters}
            best = min(own, key=lambda label: mean_interval(own[label], LEVEL)[0])
            pairs = zip(own[self.filters[0]], own[best], strict=False)
            found[tokens] = best, mean_interval([strict - kept for strict, kept in pairs], LEVEL)
        return found

    @property
    def predictions(self) -> Mapping[str, float]:
        return {}

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(f"{pool}: {each}" for pool, law in self.laws.items() for each in law.warnings)

    def __str__(self) -> str:
        budgets = list(self.best.items())
        if not budgets:
            return "no budget at which all filters ran"
        (least, (first, _)), (most, (last, excess)) = budgets[0], budgets[-1]
        said = f"best of the filters: {first} at {quantity(least)} tokens, {last} at "
        said += f"{quantity(most)}, where {self.filters[0]} alone loses {ranged(excess, '.3f')}"
        for (less, (a, _)), (more, (b, _)) in pairwise(budgets):
            if a != b:
                said += f"; {b} overtakes {a} between {quantity(less)} and {quantity(more)}"
        return said

    @property
    def tables(self) -> tuple[TextTable, ...]:
        budgets = sorted({tokens for own in self.losses.values() for tokens in own})
        return (
            TextTable(
                "Loss of every pool and filter",
                f"loss, {self.study.unit}; means over seeds",
                ("tokens", *self.losses),
                tuple(
                    (quantity(tokens), *(_mean(own.get(tokens)) for own in self.losses.values()))
                    for tokens in budgets
                ),
            ),
            TextTable(
                "The best filter at each budget",
                f"what {self.filters[0]} alone loses against it, with a 95 % interval over seeds",
                ("tokens", "best filter", f"{self.filters[0]} alone loses"),
                tuple(
                    (quantity(tokens), label, ranged(excess, ".3f"))
                    for tokens, (label, excess) in self.best.items()
                ),
            ),
            TextTable(
                "Utility and half-life of each pool",
                "b: the exponent of the first epoch; tau: epochs after which it has halved; 95 % "
                "intervals of resampled runs",
                ("pool", "b", "tau", "status"),
                tuple(
                    (pool, _constant(law, "b"), _constant(law, "tau"), str(law.status))
                    for pool, law in self.laws.items()
                ),
            ),
        )

    def pictures(self) -> Sequence[Picture]:
        return (
            Picture(
                "filtering",
                partial(draw, self),
                "Loss on the target against tokens, of single pools and of filters.",
                "Points are means over seeds.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        return ()


def read(study: StudyRecords) -> Filtering | None:
    """The losses by label; None before two filters ran, and the best pool often enough for its law.

    Raises:
        UserError: the labels name no pools.
    """
    done = study.fit_runs
    by_run = {
        str(label): {
            float(tokens): tuple(rows.loc[rows[study.tokens] == tokens, study.loss].astype(float))
            for tokens in sorted(rows[study.tokens].unique())
        }
        for label, rows in done.groupby("label")
    }
    planned = dict.fromkeys(map(str, study.planned_fit["label"]))
    losses = {label: by_run[label] for label in planned if label in by_run}
    pools = [label for label in losses if TOGETHER not in label]
    mixed = sorted((label for label in losses if TOGETHER in label), key=len)
    if not pools or not mixed or min(done["label"].value_counts()[pools]) < FEWEST:
        return None
    laws = {}
    for pool in pools:
        unique = f"unique_by_source.{pool}"
        if unique not in done:
            raise UserError(f"{study.folder}: no {unique}; label each run by its pools, as q3+q4")
        laws[pool] = fit(
            "filtering",
            done[done["label"] == pool],
            loss=study.loss,
            tokens=study.tokens,
            columns={"unique_tokens": unique},
            objective="log_squared",
            bootstrap=RESAMPLES,
        )
    return Filtering(study, losses, (pools[-1], *mixed), laws)


def _mean(losses: Sequence[float] | None) -> str:
    return "" if losses is None else f"{mean_interval(losses, LEVEL)[0]:.3f}"


def _constant(law: FitResult, name: str) -> str:
    if name in law.unidentified or name in law.bounded:
        return "not determined"
    return ranged((law.estimates[name], *law.interval(name)), ".3g")


def draw(found: Filtering) -> Any:
    """Single pools above, filters below."""
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(4.5, 6.0), layout="constrained")
        axes = figure.subplots(2, 1, sharex=True)
        for own, labels in zip(axes, (tuple(found.laws), found.filters), strict=True):
            for place, label in enumerate(labels):
                losses = found.losses[label]
                means = [mean_interval(each, LEVEL)[0] for each in losses.values()]
                own.plot(list(losses), means, label=label, **rung_style(place, len(labels)))
            log_log(own, "tokens", f"loss, {found.study.unit}")
            own.legend()
        return figure
