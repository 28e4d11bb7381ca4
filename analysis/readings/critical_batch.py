"""The critical batch of a study: steps to a loss against batch, from the trajectories.

Every run is validated during training, at a constant rate. So its loss at a step does not depend on
its length. The steps S of a batch B to a loss are the fewest over its rates. At each level of loss

    (S / S_min - 1) (E / E_min - 1) = 1,   E = B S,   or   1 = S_min / S + E_min / (B S)

which is linear in S_min and E_min, and solved by least squares in relative errors of S. Then
B_crit = E_min / S_min, and ln B_crit = ln B_star - ln L / alpha_B over the levels (McCandlish et
al. 2018, arXiv 1812.06162; Kaplan et al. 2020, arXiv 2001.08361).

Levels share their runs, so the bootstrap weights whole batches, the same at every level. Batches
are few, so percentiles are too narrow: the level is expanded as in hyperparameters/power_law.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.estimators.hyperbola import falling, solve
from analysis.fitting.bootstrap import expanded, percentile_interval, resample_weights
from analysis.fitting.types import LEVEL
from analysis.hyperparameters.law_file import LAW, save_law
from analysis.hyperparameters.power_law import OptimumLaw, spans
from analysis.plotting.numbers import quantity
from analysis.readings._finding import Picture, TextTable
from analysis.tables.points import Array
from analysis.tables.runs import trajectory
from analysis.tables.study import StudyRecords
from scaling.common.answers import Ranged
from scaling.common.errors import UserError
from scaling.hyperparameters.law import Batch
from scaling.laws.critical_batch import steps_at, tokens_at

if TYPE_CHECKING:
    import pandas as pd

LEVELS = 8
CRITICAL, LOSS = "batch_critical", "loss"
FEWEST = 4  # batches that pass a level: two constants, and two to check them by
BOOTSTRAP = 1000


@dataclass(frozen=True)
class Hyperbola:
    """One level of loss: steps of each batch that reached it, at its best rate; `samples` (R, 2)
    are S_min and E_min of each resample."""

    loss: float
    batch: Array
    steps: Array
    steps_min: float
    tokens_min: float
    samples: Array

    @property
    def critical(self) -> float:
        return self.tokens_min / self.steps_min

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Interval of the critical batch."""
        ratio = self.samples[:, 1] / self.samples[:, 0]
        return _interval(ratio, level, len(self.batch), 2)


@dataclass(frozen=True)
class CriticalBatch:
    """B_crit(L) = B_star / L^(1 / alpha_B) as `law`, of the quantity "batch_critical" in "loss"."""

    study: StudyRecords
    hyperbolas: tuple[Hyperbola, ...]
    law: OptimumLaw
    predictions: Mapping[str, float] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.law.warnings

    def at(self, loss: float) -> Ranged:
        """B_crit and its interval, in tokens."""
        found = self.law.predict(loss=loss)
        return float(found.value), float(found.low), float(found.high)

    @property
    def exponent(self) -> Ranged:
        """-1 / alpha_B and its interval."""
        return self.law.params[LOSS], *self.law.interval(LOSS)

    def __str__(self) -> str:
        value, low, high = self.exponent
        said = []
        for each in (self.hyperbolas[0], self.hyperbolas[-1]):
            ends = "{} [{}, {}]".format(*map(quantity, self.at(each.loss)))
            said.append(f"{ends} tokens at a loss of {each.loss:.2f}")
        return f"critical batch {', '.join(said)}; it goes as L^{value:.1f} [{low:.1f}, {high:.1f}]"

    @property
    def tables(self) -> tuple[TextTable, ...]:
        rows = []
        for each in self.hyperbolas:
            low, high = each.interval()
            rows.append(
                (
                    f"{each.loss:.3f}",
                    f"{quantity(each.batch.min())} to {quantity(each.batch.max())}",
                    str(len(each.batch)),
                    quantity(each.steps_min),
                    quantity(each.tokens_min),
                    f"{quantity(each.critical)} [{quantity(low)}, {quantity(high)}]",
                    "{} [{}, {}]".format(*map(quantity, self.at(each.loss))),
                )
            )
        return (
            TextTable(
                "The critical batch at each loss",
                "S_min steps at an unlimited batch, E_min tokens at a vanishing one, B_crit their "
                "ratio in tokens; the last column is the power law through all levels",
                ("nats/token", "batches", "of them", "S_min", "E_min", "B_crit", "by the law"),
                tuple(rows),
            ),
        )

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "critical_batch",
                lambda: draw(self),
                "Steps against tokens, and the critical batch.",
                "Left: each line is one loss, each mark a batch at its best rate; where a line "
                "bends it takes twice the least steps and twice the least tokens. Right: that "
                "batch against the loss, with 95 % intervals.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        """law.json, for `recommend --fit law.json --loss L`."""
        path = folder / LAW
        first = self.study.fit_runs.iloc[0]
        save_law(
            path,
            {CRITICAL: self.law},
            name=self.study.name,
            loss="validation, nats/token",
            batch=Batch.NONE,
            schedule=f"{first['schedule.name']}, warm-up over "
            f"{first['schedule.warmup_fraction']:g} of the steps",
            recipe=f"through the critical batches of {len(self.hyperbolas)} losses, each E_min / "
            f"S_min of a hyperbola through up to {self.law.units} batches at their best rates",
        )
        return (path,)


def read(study: StudyRecords) -> CriticalBatch | None:
    """The hyperbolas of the finished runs; None before there is any.

    Raises UserError where fewer than FEWEST batches pass a common loss.
    """
    if study.fit_runs.empty:
        return None
    runs = [_descent(row) for _, row in study.fit_runs.iterrows()]
    batches = sorted({run.batch for run in runs})
    of = {batch: [run for run in runs if run.batch == batch] for batch in batches}
    reached = np.array([min(run.losses.min() for run in of[batch]) for batch in batches])
    begun = np.array([min(run.losses.max() for run in of[batch]) for batch in batches])
    if len(batches) < FEWEST or np.sort(reached)[FEWEST - 1] >= np.sort(begun)[-FEWEST]:
        raise UserError(
            f"{study.folder}: no critical batch: {FEWEST} batches or more must pass the same "
            "losses; train more of them, or for longer"
        )
    low, high = np.sort(reached)[FEWEST - 1], np.sort(begun)[-FEWEST]
    weights = resample_weights(
        "dirichlet", np.arange(len(batches), dtype=np.intp), BOOTSTRAP, 0, FEWEST
    )
    every = np.concatenate([np.ones((1, len(batches))), weights])
    found, edges = [], set()
    # from the first level below the start to just above the lowest reached
    for level in np.exp(np.linspace(math.log(high), math.log(low), LEVELS + 2)[1:-1]):
        best = [_fewest(of[batch], level) for batch in batches]
        passed = np.array([each is not None for each in best])
        steps = np.array([each[0] for each in best if each is not None])
        edges |= {b for b, each in zip(batches, best, strict=True) if each and each[1]}
        batch = np.array(batches)[passed]
        answer = solve(batch, steps, every[:, passed])
        if (answer[0] > 0).all():
            found.append((level, batch, steps, answer))
    if len(found) < 2:
        raise UserError(
            f"{study.folder}: no critical batch: no level of loss has a hyperbola; widen the "
            "batches, the small ones below and the large ones above the critical"
        )
    usable = np.all([(answer > 0).all(axis=1) for *_, answer in found], axis=0)
    hyperbolas = tuple(
        Hyperbola(
            loss=float(level),
            batch=batch,
            steps=steps,
            steps_min=float(answer[0, 0]),
            tokens_min=float(answer[0, 1]),
            samples=answer[usable][1:],
        )
        for level, batch, steps, answer in found
    )
    logs = np.log([each.loss for each in hyperbolas])
    critical = np.stack([answer[usable, 1] / answer[usable, 0] for *_, answer in found], axis=1)
    design = np.stack([np.ones_like(logs), logs], axis=1)
    lines = np.log(critical) @ np.linalg.pinv(design).T
    notes = []
    if lost := int((~usable).sum()):
        notes.append(f"{lost} of {BOOTSTRAP} resamples give no hyperbola at some loss")
    if edges:
        named = ", ".join(quantity(batch) for batch in sorted(edges))
        notes.append(
            f"the best rate is the least or the greatest tried at some loss, for a batch of {named}"
            " tokens: its steps may be too many"
        )
    law = OptimumLaw(
        hyper=CRITICAL,
        variables=(LOSS,),
        estimate=lines[0],
        samples=lines[1:],
        units=len(batches),
        scatter=float(np.sqrt(np.mean((np.log(critical[0]) - design @ lines[0]) ** 2))),
        fitted_on=spans((LOSS,), logs[:, None]),
        warnings=tuple(notes),
    )
    return CriticalBatch(study, hyperbolas, law)


@dataclass(frozen=True)
class _Descent:
    """Losses (T,) of one run, rising, and the steps at which it had them, falling."""

    batch: float
    rate: float
    losses: Array
    steps: Array

    def passes(self, level: float) -> bool:
        return bool(self.losses[0] <= level <= self.losses[-1])

    def steps_to(self, level: float) -> float:
        """Steps to a loss that it passes, between two evaluations along a power law."""
        at = np.interp(math.log(level), np.log(self.losses), np.log(self.steps))
        return math.exp(float(at))


def _descent(row: pd.Series) -> _Descent:
    """The validation losses of one run after its warm-up, made monotone: the mean of the lowest so
    far and the highest to come."""
    rows = trajectory(row["path"])
    seen = rows.reindex(columns=["step", "valid_loss"]).dropna()
    seen = seen[seen["step"] < row["steps"]]
    if seen.empty:
        raise UserError(
            f"{row['path']}: validated at its end alone, so the steps to a loss are unknown; "
            "set evaluation.times=32"
        )
    seen = seen[seen["step"] > row["schedule.warmup_fraction"] * row["steps"]]
    steps = np.array([*seen["step"], row["steps"]], np.float64)
    losses = np.array([*seen["valid_loss"], row["loss"]], np.float64)
    batch, rate = float(row["batch_tokens"]), float(row["optimizer.learning_rate"])
    return _Descent(batch, rate, falling(losses)[::-1], steps[::-1])


def _fewest(runs: Sequence[_Descent], level: float) -> tuple[float, bool] | None:
    """The fewest steps of the runs of one batch to a loss; True if the best rate is the least or
    the greatest tried. None where no run passes the loss."""
    found = [(run.steps_to(level), run.rate) for run in runs if run.passes(level)]
    if not found:
        return None
    steps, rate = min(found)
    rates = [run.rate for run in runs]
    return steps, len(rates) > 1 and rate in (min(rates), max(rates))


def _interval(drawn: Array, level: float, units: int, constants: int) -> tuple[float, float]:
    low, high = percentile_interval(drawn, expanded(level, units, constants))
    return float(low), float(high)


def draw(found: CriticalBatch) -> Any:
    """The hyperbolas, and B_crit against loss with its band."""
    from matplotlib.figure import Figure

    from analysis.plotting.style import (
        FITTED,
        INK,
        SIZE,
        house_style,
        log_log,
        round_ticks,
        rung_style,
    )

    with house_style():
        figure = Figure(figsize=(2 * SIZE[0], SIZE[1]), layout="constrained")
        left, right = figure.subplots(1, 2)
        count = len(found.hyperbolas)
        for at, each in enumerate(found.hyperbolas):
            look = rung_style(at, count)
            left.plot(
                each.batch * each.steps, each.steps, linestyle="none", label=f"{each.loss:.2f}",
                **look,
            )  # fmt: skip
            span = np.geomspace(each.batch.min() / 2, each.batch.max() * 2, 80)
            left.plot(
                tokens_at(span, each.tokens_min, each.critical),
                steps_at(span, each.steps_min, each.critical),
                color=look["color"], linewidth=0.9,
            )  # fmt: skip
            low, high = each.interval()
            right.errorbar(
                each.loss, each.critical,
                yerr=[[max(0.0, each.critical - low)], [max(0.0, high - each.critical)]],
                fmt=look["marker"], color=INK, markersize=4.5, capsize=2,
            )  # fmt: skip
        losses = np.geomspace(found.hyperbolas[-1].loss, found.hyperbolas[0].loss, 40)
        value, low_band, high_band = np.array([found.at(float(loss)) for loss in losses]).T
        right.plot(losses, value, color=FITTED)
        right.fill_between(losses, low_band, high_band, color=FITTED, alpha=0.16, lw=0)
        log_log(left, "tokens to the loss", "steps to the loss")
        log_log(right, "validation loss, nats/token", "critical batch, tokens")
        round_ticks(left)
        round_ticks(right)
        handles, names = left.get_legend_handles_labels()
        figure.legend(
            handles, names, title="loss, nats/token", loc="outside upper center", ncols=count,
            columnspacing=1, handletextpad=0.3,
        )  # fmt: skip
        return figure
