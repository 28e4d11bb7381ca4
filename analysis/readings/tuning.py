"""Share of the full gain on a new domain that few trained numbers reach, and the count for 95 %.

    share = (L(before) - L(tuned)) / (L(before) - L(all))
    ln count = a + b ln N            the count at which a support's share passes 95 %

A share between two counts lies on a line in the logarithm of the count. The line of b is fitted for
each seed, by least squares. Intervals are over seeds, by Student's t.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis.fitting.bootstrap import mean_interval
from analysis.fitting.types import LEVEL
from analysis.plotting.numbers import quantity, ranged
from analysis.plotting.style import MARKERS, MUTED, RAMP, house_style
from analysis.readings._finding import Picture, TextTable
from analysis.tables.study import StudyRecords
from scaling.common.errors import UserError

BEFORE, ALL, TRAINED = "before", "all", "params_trained"
ENOUGH = 0.95
Key = tuple[str, float, float]  # label, parameters, trained numbers


@dataclass(frozen=True)
class Tuning:
    """The shares of each way, size and count, and the slopes b of each way; one for each seed.

    Attributes:
        counts: for 95 %, of each way and size; of the seeds that reach it.
    """

    shares: Mapping[Key, tuple[float, ...]]
    counts: Mapping[tuple[str, float], tuple[float, ...]]
    slopes: Mapping[str, tuple[float, ...]]
    predictions: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.slopes:
            return "no support reaches 95 % of the full gain at two sizes"
        label, slopes = next(iter(self.slopes.items()))
        value, low, high = mean_interval(slopes, LEVEL)
        sure = "" if low > 0 or high < 0 else ", a sign that the seeds leave open"
        power = ranged((value, low, high), ".3f")
        return f"the count for 95 % of the gain goes as N^{power} ({label}){sure}"

    @property
    def tables(self) -> tuple[TextTable, ...]:
        shares = tuple(
            (
                label,
                quantity(n),
                quantity(count),
                ranged(mean_interval(own, LEVEL), ".3f"),
                str(len(own)),
            )
            for (label, n, count), own in self.shares.items()
        )
        counts = tuple(
            (label, quantity(n), ranged(mean_interval(own, LEVEL), ".0f"), str(len(own)))
            for (label, n), own in self.counts.items()
        )
        note = "95 % intervals by Student's t over seeds"
        heads = ("trained", "params", "numbers trained", "share", "seeds")
        found = [TextTable("Share of the full gain", note, heads, shares)]
        if counts:
            own = ("trained", "params", "count", "seeds that reach it")
            found.append(TextTable("Count for 95 % of the gain", note, own, counts))
        return tuple(found)

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "tuning",
                lambda: draw(self),
                "Share of the full gain against the numbers that are trained.",
                "Means over seeds; dotted: 95 %.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        return ()


def read(study: StudyRecords) -> Tuning | None:
    """The shares of the finished runs; None before a tuned model and its two ends have finished.

    Raises:
        UserError: the records name no trained numbers.
    """
    done = study.fit_runs
    if TRAINED not in done:
        if ALL in set(done["label"]):
            raise UserError(f"{study.folder}: the records name no {TRAINED}; run the study tuning")
        return None
    shares: dict[Key, list[float]] = {}
    counts: dict[str, dict[tuple[Any, float], float]] = {}
    for _, own in done.groupby([study.params, "seed"]):
        params, seed = float(own[study.params].iloc[0]), own["seed"].iloc[0]
        ends = own.groupby("label")[study.loss].mean()
        if not {BEFORE, ALL} <= set(ends.index) or ends[BEFORE] <= ends[ALL]:
            continue
        for label, rows in own[~own["label"].isin([BEFORE, ALL])].groupby("label", sort=False):
            rows = rows.sort_values(TRAINED)
            found = (ends[BEFORE] - rows[study.loss].astype(float)) / (ends[BEFORE] - ends[ALL])
            for count, share in zip(rows[TRAINED], found, strict=True):
                shares.setdefault((str(label), params, float(count)), []).append(float(share))
            count = _count(np.log(rows[TRAINED].astype(float)), np.asarray(found))
            if str(label).startswith("support") and np.isfinite(count):
                counts.setdefault(str(label), {})[seed, params] = count
    if not shares:
        return None
    by_size: dict[tuple[str, float], list[float]] = {}
    slopes: dict[str, tuple[float, ...]] = {}
    for label, each in counts.items():
        for (_, params), count in each.items():
            by_size.setdefault((label, params), []).append(count)
        lines = [
            np.polyfit(np.log([n for s, n in each if s == seed]),
                       np.log([c for (s, _), c in each.items() if s == seed]), 1)[0]
            for seed in dict.fromkeys(s for s, _ in each)
            if len([n for s, n in each if s == seed]) > 1
        ]  # fmt: skip
        if lines:
            slopes[label] = tuple(map(float, lines))
    return Tuning(
        {key: tuple(own) for key, own in shares.items()},
        {key: tuple(own) for key, own in by_size.items()},
        slopes,
    )


def _count(logs: Any, shares: Any) -> float:
    """The count at which the share first passes 95 %; nan where none does."""
    over = np.flatnonzero(shares >= ENOUGH)
    x = np.asarray(logs)
    if not len(over):
        return float("nan")
    k = int(over[0])
    if k == 0:
        return float(np.exp(x[0]))  # at most this
    part = (ENOUGH - shares[k - 1]) / (shares[k] - shares[k - 1])
    return float(np.exp(x[k - 1] + part * (x[k] - x[k - 1])))


def draw(found: Tuning) -> Any:
    """Mean share against the trained numbers, a line for each way and size."""
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(4.5, 3.6), layout="constrained")
        axes = figure.subplots()
        for k, (label, n) in enumerate(dict.fromkeys(key[:2] for key in found.shares)):
            own = {key[2]: values for key, values in found.shares.items() if key[:2] == (label, n)}
            axes.plot(
                list(own), [np.mean(values) for values in own.values()],
                marker=MARKERS[k % len(MARKERS)], color=RAMP[(1 + k) % len(RAMP)], lw=1,
                label=f"{label}, {quantity(n)}",
            )  # fmt: skip
        axes.axhline(ENOUGH, color=MUTED, lw=0.8, linestyle=":")
        axes.set(xscale="log", xlabel="numbers trained", ylabel="share of the full gain")
        axes.legend(fontsize=6)
        return figure
