"""Transfer of the best setting: the move of each valley's least as the model doubles.

    loss = l* + b (x - x*)^2,    x = log2 setting

by least squares through the means over seeds, at the values within `REACH` octaves of the best one
tried; then

    x* = a + shift * log2 size

over the sizes of one kind, weighted by b^2, to which the precision of x* is proportional under
equal noise. Intervals are the jackknife over whole seeds, in all sizes at once, with Student's t of
S - 1 degrees for S seeds. So errors that a seed shares over rates and sizes count. Three or four
seeds do not pass for many, as in a bootstrap. The intervals ignore the bias of a parabola through a
valley that is steeper towards divergence. The bias is nearly equal in all sizes, and cancels in the
shift. It is -0.21 +- 0.02 octaves for a valley 2.2 times as steep two octaves above its least as
below.

A least is a measurement only inside the values tried, and a shift only where each size has one.
The best value of one size is asked without such a cancelling: `analysis/hyperparameters/best.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from analysis.estimators.valleys import FEWEST, SIZES, Valley, Valleys, find_valleys
from analysis.estimators.vertex import parabola
from analysis.fitting.bootstrap import student_t
from analysis.fitting.types import LEVEL
from analysis.hyperparameters.best import BestSetting, best_setting
from analysis.hyperparameters.optimum import BOUNDS, Where
from analysis.plotting.numbers import quantity
from analysis.plotting.style import HELD, LINES, house_style, log_log, log_ticks, panels, rung_style
from analysis.readings._finding import Picture, TextTable
from analysis.tables.points import LEAST_FACTOR, Array
from analysis.tables.study import StudyRecords

REACH = 2.0  # octaves to each side of the best value tried
TOLERANCE = 0.25  # octaves for each doubling: a factor of 2 in the setting over 16 in size


class Answer(StrEnum):
    """Use of the small model's best setting for the large one."""

    YES = "yes"  # the interval of the shift lies within the tolerance
    NO = "no"  # it does not, and excludes 0
    UNDETERMINED = "undetermined"


@dataclass(frozen=True)
class Optimum:
    """The least of one valley.

    Attributes:
        log2: x*, or the edge that bounds it, or nan.
        without: [S], x* without each of the seeds; empty for one seed, and where x* is no vertex.
        curvature, loss: b and l*; nan where there is no vertex.
    """

    size: float
    log2: float
    where: Where
    without: Array
    curvature: float
    loss: float

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval, in octaves; nan for one seed."""
        return _half_width(self.without)

    def __str__(self) -> str:
        if self.where in BOUNDS:
            return f"{'≤' if self.where is Where.LOW else '≥'} {self.log2:.3g}"
        if self.where is not Where.INSIDE:
            return "?"
        bar = f" ± {self.half_width:.2f}" if len(self.without) else ""
        return f"{self.log2:.2f}{bar}"


@dataclass(frozen=True)
class Transfer:
    """The optima of one kind against its size named `along`, and the shift of x* per doubling. Its
    95 % interval is nan where `reason` says why there is none."""

    kind: tuple[str, ...]
    along: str
    optima: tuple[Optimum, ...]
    shift: float
    low: float
    high: float
    reason: str

    @property
    def answer(self) -> Answer:
        if self.low >= -TOLERANCE and self.high <= TOLERANCE:
            return Answer.YES
        return Answer.NO if self.low > 0 or self.high < 0 else Answer.UNDETERMINED

    @property
    def name(self) -> str:
        return ", ".join(self.kind) or "all"

    @property
    def shift_text(self) -> str:
        if not math.isfinite(self.shift):
            return "–"
        interval = f" [{self.low:+.2f}, {self.high:+.2f}]" if math.isfinite(self.low) else ""
        return f"{self.shift:+.2f}{interval}"

    def at(self, size: tuple[str, float]) -> str:
        """The optimum at a size, given by its name and value."""
        found = {(self.along, optimum.size): str(optimum) for optimum in self.optima}
        return found.get(size, "–")


def transfers(valleys: Valleys) -> tuple[Transfer, ...]:
    """One for each kind, in the order of the valleys."""
    return tuple(
        _transfer(kind, members, valleys.params) for kind, members in valleys.kinds.items()
    )


@dataclass(frozen=True)
class Transfers:
    """The valleys of a study and how far the best setting moves with size, for each kind."""

    study: StudyRecords
    valleys: Valleys
    transfers: tuple[Transfer, ...]
    notes: tuple[str, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """The answer in one line."""
        says = {
            Answer.YES: "transfers",
            Answer.NO: "moves",
            Answer.UNDETERMINED: "is undetermined",
        }
        several = len(self.transfers) > 1
        named = {a: [each.name for each in self.transfers if each.answer is a] for a in Answer}
        parts = [
            says[a] + f" for {' and '.join(names)}" * several for a, names in named.items() if names
        ]
        best = "; ".join(
            f"{name} " * several
            + f"at N = {quantity(valley.sizes[self.valleys.params])}: {best_text(found)}"
            for name, (valley, found) in self._largest().items()
        )
        setting = self.valleys.setting
        if all(len(each.optima) == 1 for each in self.transfers):
            return f"the best {setting}: {best}"
        return f"as the model grows, the best {setting} {', '.join(parts)}; the best, {best}"

    @property
    def bests(self) -> tuple[tuple[Valley, BestSetting], ...]:
        """The best value of each valley."""
        return tuple(
            (valley, best_setting(valley.values, valley.losses))
            for valley in self.valleys.valleys
            if (valley.values > 0).all()
        )

    def _largest(self) -> dict[str, tuple[Valley, BestSetting]]:
        """The best value at the largest size of each kind."""
        return {valley.name: (valley, found) for valley, found in self.bests}

    @property
    def tables(self) -> tuple[TextTable, ...]:
        """The best values as numbers; then for each kind its shift and the published answer."""
        return (*self._best_table(), self._shift_table())

    def _best_table(self) -> tuple[TextTable, ...]:
        rows = tuple(
            (
                valley.name,
                quantity(valley.sizes[self.valleys.params]),
                best_text(found),
                f"{found.loss:.4f}",
                str(found.runs),
                found.reason or "inside the values tried",
            )
            for valley, found in self.bests
        )
        heads = ("kind", "N", f"best {self.valleys.setting}", "loss there", "runs", "minimum")
        note = "The minimum of a cubic in ln value near the best tried, with its 95 % interval"
        title = f"The best {self.valleys.setting} of each size"
        return (TextTable(title, note, heads, rows),) if rows else ()

    def _shift_table(self) -> TextTable:
        found, published = self.transfers, self.study.published
        along = {each.along for each in found}
        sizes = sorted({(each.along, optimum.size) for each in found for optimum in each.optima})
        heads = (
            "kind",
            *(f"{name.removeprefix('model.')} {_size(size)}" for name, size in sizes),
            f"shift per doubling{f' of {along.pop()}' if len(along) == 1 else ''}",
            "transfers?",
            *(["published"] if published else []),
        )
        rows = tuple(
            (
                each.name,
                *(each.at(size) for size in sizes),
                each.shift_text,
                str(each.answer),
                *([published.get(each.name, "–")] if published else []),
            )
            for each in found
        )
        note = (
            f"log2 of the best {self.valleys.setting}, with 95 % intervals over whole seeds; "
            f"transfers: the shift lies within ±{TOLERANCE:g} octaves per doubling"
        )
        note = "; ".join([note, *_reasons(found)])
        return TextTable("Does the best setting transfer?", note, heads, rows)

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "valleys",
                lambda: draw(self),
                f"Loss against {self.valleys.setting}.",
                "A line per size, its bars one standard error over seeds; the star is the least of "
                "each, its bar the 95 % interval of its place within the values tried. Where the "
                "stars stand one below the other, the setting carries over.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        """No file: the sentence holds the answer."""
        return ()


def best_text(found: BestSetting) -> str:
    """The value with its interval; a bound as such; a value tried without a minimum as that."""
    if found.where in BOUNDS:
        return f"{'≤' if found.where is Where.LOW else '≥'} {found.value:.3g}"
    if found.where is not Where.INSIDE:
        return f"{found.value:.3g} of those tried"
    return f"{found.value:.3g} [{found.low:.3g}, {found.high:.3g}]"


def read(study: StudyRecords) -> Transfers | None:
    """The transfer of the best setting; None for too few runs."""
    valleys = find_valleys(study)
    return None if valleys is None else Transfers(study, valleys, transfers(valleys))


def draw(found: Transfers) -> Any:
    """Loss against the swept setting, a panel per kind and a line per rung. Bars are one standard
    error over seeds; a star marks each least, with its 95 % interval."""
    valleys = found.valleys
    with house_style():
        kinds, rungs = valleys.kinds, int(found.study.runs["rung"].max()) + 1
        figure = panels(len(kinds))
        bests = {id(valley): best for valley, best in found.bests}
        for axes, each in zip(figure.axes, found.transfers, strict=True):
            for valley in kinds[each.kind]:
                best = bests.get(id(valley))
                axes.errorbar(
                    valley.values, valley.mean, valley.error,
                    linestyle=LINES[valley.rung % len(LINES)], capsize=2,
                    label=f"N = {quantity(valley.sizes[valleys.params])}",
                    **rung_style(valley.rung, rungs),
                )  # fmt: skip
                if best is not None and best.where is Where.INSIDE:
                    ends = np.clip([best.low, best.high], valley.values[0], valley.values[-1])
                    axes.plot(ends, 2 * [best.loss], color=HELD, linewidth=2.2, zorder=5)
                    axes.plot(
                        best.value, best.loss, marker="*", markersize=13, color=HELD, zorder=6
                    )
            log_log(axes, valleys.setting, f"loss, {found.study.unit}")
            axes.set_title(each.name)
            log_ticks(axes.xaxis, *axes.get_xlim())
        for axes in figure.axes:
            log_ticks(axes.yaxis, *axes.get_ylim())
        named: dict[str, Any] = {}
        for axes in figure.axes:
            lines, labels = axes.get_legend_handles_labels()
            named |= dict(zip(labels, lines, strict=True))
        figure.legend(named.values(), named, loc="outside upper center", ncols=3)
        return figure


def _reasons(found: Sequence[Transfer]) -> list[str]:
    """Reasons for missing intervals, with the kinds that share each."""
    shared: dict[str, list[str]] = {}
    for each in found:
        if each.reason:
            shared.setdefault(each.reason, []).append(each.name)
    return [f"{', '.join(names)}: {reason}" for reason, names in shared.items()]


def optimum(valley: Valley, size: float) -> Optimum:
    """The vertex of the parabola through the bottom of a valley, and without each seed in turn."""
    S, best = len(valley.seeds), int(np.argmin(valley.mean))
    positive = valley.values > 0
    x = np.log2(valley.values, where=positive, out=np.full(len(valley.values), -np.inf))

    def without_vertex(where: Where) -> Optimum:
        bound = {Where.LOW: x[0], Where.HIGH: x[-1]}.get(where, math.nan)
        return Optimum(size, float(bound), where, np.empty(0), math.nan, math.nan)

    if best in (0, len(x) - 1):
        return without_vertex(Where.LOW if best == 0 else Where.HIGH)
    near = positive & (np.abs(x - x[best]) <= REACH)
    if near.sum() < FEWEST:
        return without_vertex(Where.TOO_FEW)
    losses = valley.losses[:, near]
    means = [losses.mean(axis=0)]
    means += [np.delete(losses, s, axis=0).mean(axis=0) for s in range(S) if S > 1]
    fitted = parabola(x[near], np.stack(means))  # 1 + S of them
    if (fitted.bend <= 0).any():
        return without_vertex(Where.NOT_CONVEX)
    first, *without = fitted.vertex
    if not x[0] < first < x[-1]:
        return without_vertex(Where.LOW if first <= x[0] else Where.HIGH)
    bend, least = float(fitted.bend[0]), float(fitted.least[0])
    return Optimum(size, float(first), Where.INSIDE, np.array(without), bend, least)


def _transfer(kind: tuple[str, ...], members: Sequence[Valley], params: str) -> Transfer:
    along = _along(members, params)
    optima = tuple(optimum(valley, valley.sizes[along]) for valley in members)
    reason = _no_shift(along, optima)
    if reason:
        return Transfer(kind, along, optima, math.nan, math.nan, math.nan, reason)
    x = np.log2([each.size for each in optima])
    weights = np.array([each.curvature for each in optima]) ** 2
    dx = x - np.average(x, weights=weights)
    arm = weights * dx / np.sum(weights * dx**2)  # the shift is its product with the optima
    shift = float(arm @ [each.log2 for each in optima])
    reason = _no_interval(members)
    half = math.nan if reason else _half_width(arm @ [each.without for each in optima])
    return Transfer(kind, along, optima, shift, shift - half, shift + half, reason)


def _along(members: Sequence[Valley], params: str) -> str:
    """The one of `SIZES` in which the models differ, or their parameters."""
    varied = [
        name for name in SIZES if len({v.sizes[name] for v in members if name in v.sizes}) > 1
    ]
    return varied[0] if len(varied) == 1 else params


def _no_shift(along: str, optima: Sequence[Optimum]) -> str:
    if len({each.size for each in optima}) < 2:
        return "one size"
    factor = max(each.size for each in optima) / min(each.size for each in optima)
    if factor < LEAST_FACTOR:
        return f"{along} spans a factor of {factor:.3g} only"
    lost = [each for each in optima if each.where is not Where.INSIDE]
    named = ", ".join(f"{_size(each.size)} ({each.where})" for each in lost)
    return f"no least at {along} {named}; widen or refine the values" if lost else ""


def _no_interval(members: Sequence[Valley]) -> str:
    if len({valley.seeds for valley in members}) > 1:
        return "the sizes have different seeds, so no interval"
    return "one seed, so no interval" if len(members[0].seeds) == 1 else ""


def _half_width(without: Array) -> float:
    """Half the 95 % interval by the jackknife, from the values [S] without each of S seeds."""
    S = len(without)
    if S < 2:
        return math.nan
    sd = math.sqrt((S - 1) / S * float(np.sum((without - without.mean()) ** 2)))
    return student_t(LEVEL, S - 1) * sd


def _size(size: float) -> str:
    return f"{size:g}" if size < 1e5 else quantity(size)
