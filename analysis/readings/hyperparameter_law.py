"""Law of learning rate and batch from a study of grids, and its regret at a larger held-out cell.

Each cell of size and tokens has a bowl; one surface through all of them gives lr*(N, D) and
batch*(D). The held-out cell, larger than any, has a grid too. The regret of a rule is the loss of
the run there nearest to its advice, above the grid's best. The rules are the fitted law, every
published law that applies, and the best setting of the nearest cell. A rule that gives only one of
the two takes the other from that setting.

The best run of a grid is best in part by its noise. So a perfect rule has a regret of about the
noise of one run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.types import Prediction
from analysis.hyperparameters.law_file import LAW, save_law
from analysis.hyperparameters.near_optimal import regret
from analysis.hyperparameters.optimum import Optima, Where, optimum_per_cell
from analysis.hyperparameters.power_law import OptimumLaw
from analysis.hyperparameters.surface import JointSurface, joint_surface
from analysis.plotting.numbers import quantity
from analysis.readings._finding import Picture, TextTable
from analysis.readings._grid_plot import draw_bowls
from analysis.tables.study import StudyRecords
from scaling.common.errors import UserError
from scaling.hyperparameters.law import RATES, Confidence, Range, farthest
from scaling.hyperparameters.published import HYPERPARAMETER_LAWS
from scaling.hyperparameters.recommendation import side_by_side

if TYPE_CHECKING:
    import pandas as pd

BATCH, TOKENS = "batch_tokens", "tokens"
WITHIN = 0.06  # of the least loss of a cell: about a factor of 3 from the best, either way
BOOTSTRAP = 1000


@dataclass(frozen=True)
class Setting:
    """A learning rate and a batch, and the rule that gives them."""

    rule: str
    lr: float
    batch_tokens: float
    remark: str = ""


@dataclass(frozen=True)
class Regret:
    """Cost of a setting in the held-out cell: the excess of the nearest run."""

    setting: Setting
    distance: float  # of that run: a factor, both hyperparameters taken together
    excess: float
    off_grid: bool  # the advice lies beyond the grid, and the edge replaces it


@dataclass(frozen=True)
class Grids:
    """`laws` are by quantity, empty where the bowls give none, and `advice` theirs at the held-out
    cell; `regrets` are empty before that has been trained. `cell` names N and D."""

    study: StudyRecords
    rate: str  # the quantity that the learning rate is
    table: pd.DataFrame
    optima: Optima
    surface: JointSurface
    advice: Mapping[str, Prediction]
    target: Mapping[str, float]
    regrets: tuple[Regret, ...]

    @property
    def laws(self) -> Mapping[str, OptimumLaw]:
        return self.surface.laws

    @property
    def cell(self) -> tuple[str, ...]:
        return self.optima.cell

    @property
    def predictions(self) -> Mapping[str, float]:
        """The law's advice for the held-out cell, with its interval."""
        return {
            f"{name}{end}": float(value)
            for name, found in self.advice.items()
            for end, value in (("", found.value), ("_low", found.low), ("_high", found.high))
            if math.isfinite(value)
        }

    @property
    def notes(self) -> Sequence[str]:
        return (*self.surface.warnings, *self.optima.warnings)

    def __str__(self) -> str:
        if not self.laws:
            return "the bowls of these runs give no law of learning rate and batch"
        said = f"{_form(self.laws[self.rate], 'lr')}; {_form(self.laws[BATCH], 'batch')}"
        if not self.advice:
            return said
        lr, batch = self.advice[self.rate], self.advice[BATCH]
        said += (
            f"; for N = {quantity(self.target[self.cell[0]])}, D = {quantity(self.target[TOKENS])} "
            f"lr {_value(lr, _plain)} and a batch of {_value(batch, quantity)} tokens"
        )
        if not self.regrets:
            return f"{said}, not measured yet"
        first, *others = self.regrets
        best = min(others, key=lambda each: each.excess)
        return (
            f"{said}: {_percent(first.excess)} above the best run there ({best.setting.rule} "
            f"{_percent(best.excess)})"
        )

    @property
    def tables(self) -> tuple[TextTable, ...]:
        return (self._optima(), *((self._laws(),) if self.laws else ()), *self._regrets())

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "bowls",
                lambda: draw_bowls(self.table, self.optima, self.surface, self.study.loss),
                "The bowls.",
                "Loss above the best run of each cell, against learning rate and batch. Contours: "
                "one bowl for all cells, whose bottom (+) moves as the law. Ring: the best run. "
                "Bars: the vertex of the cell alone, with its 95 % interval.",
                f"Excess loss over learning rate and batch in {len(self.optima.entries) // 2} "
                "cells, lowest in the middle.",
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        """law.json, for `recommend --fit` and for --set optimizer.learning_rate='law(...)'."""
        if not self.laws:
            return ()
        path = folder / LAW
        first = self.table.iloc[0]
        save_law(
            path,
            self.laws,
            name=self.study.name,
            loss=f"{self.study.loss} on validation, {self.study.unit}",
            schedule=f"{first['schedule.name']}, warm-up over {first['schedule.warmup_fraction']:g}"
            f" of the steps; beta2 {first['optimizer.beta2']:g}, weight decay "
            f"{first['optimizer.weight_decay']:g}",
            recipe=f"one bowl for {len(self.optima.entries) // 2} cells, through the "
            f"{self.surface.runs} of {len(self.table)} runs within {100 * WITHIN:.0f} % of the "
            "best of their cell",
        )
        return (path,)

    def _optima(self) -> TextTable:
        rows = []
        for lr, batch in zip(self.optima.of(self.rate), self.optima.of(BATCH), strict=True):
            mine = self.table[_here(self.table, lr.cell)]
            best = mine.loc[mine[self.study.loss].idxmin()]
            rows.append(
                (
                    *(quantity(lr.cell[name]) for name in self.cell),
                    str(len(mine)),
                    f"{best[self.study.loss]:.3f}",
                    f"{best[self.rate]:.3g}",
                    quantity(best[BATCH]),
                    _optimum(lr, _plain),
                    _optimum(batch, quantity),
                )
            )
        return TextTable(
            "The optimum of each cell",
            f"Vertex of a quadratic surface through the runs within {100 * WITHIN:.0f} % of the "
            "cell's best, with its 95 % interval",
            ("N", "D", "runs", f"least {self.study.unit}", "at lr", "batch", "lr*", "batch*"),
            tuple(rows),
        )

    def _laws(self) -> TextTable:
        rows = []
        for name, law in self.laws.items():
            for constant, value in law.params.items():
                low, high = law.interval(constant) if len(law.samples) else (math.nan, math.nan)
                rows.append((name, constant, f"{value:.3g}", f"[{low:.3g}, {high:.3g}]"))
        return TextTable(
            "The law",
            "h = coefficient * product of variable^exponent, from one bowl for all cells whose "
            "bottom moves so",
            ("of", "constant", "value", "95 % interval"),
            tuple(rows),
        )

    def _regrets(self) -> tuple[TextTable, ...]:
        if not self.regrets:
            return ()
        rows = [
            (
                each.setting.rule,
                f"{each.setting.lr:.3g}",
                quantity(each.setting.batch_tokens),
                f"{each.distance:.2g} x",
                _percent(each.excess),
                "; ".join(
                    [each.setting.remark] * bool(each.setting.remark)
                    + ["off the grid"] * each.off_grid
                ),
            )
            for each in self.regrets
        ]
        where = f"N = {quantity(self.target[self.cell[0]])}, D = {quantity(self.target[TOKENS])}"
        return (
            TextTable(
                f"Regret at {where}",
                "Loss of the run nearest to each rule's advice, above the best run of the "
                "held-out grid; its distance is a factor, and off the grid the edge replaces the "
                "rule",
                ("rule", "lr", "batch, tokens", "nearest run", "regret", "remark"),
                tuple(rows),
            ),
        )


def read(study: StudyRecords) -> Grids | None:
    """The bowls of the finished runs; None before there is any.

    Raises UserError where they do not determine a surface.
    """
    if study.fit_runs.empty:
        return None
    names = study.fit_runs["parametrization.name"].unique()
    if len(names) > 1 or names[0] not in RATES:
        raise UserError(
            f"{study.folder}: a law of the learning rate is of one parametrization, "
            f"one of {', '.join(RATES)}; these runs have {', '.join(names)}"
        )
    rate = RATES[names[0]]
    cell = (study.params, TOKENS)
    table = _columns(study.fit_runs, rate)
    options: dict[str, Any] = {"cell": cell, "loss": study.loss, "within": WITHIN}
    optima = optimum_per_cell(table, hyper=(rate, BATCH), **options)
    surface = joint_surface(table, {rate: cell, BATCH: (TOKENS,)}, bootstrap=BOOTSTRAP, **options)
    target = _target(study)
    advice = {
        name: law.predict(**{each: target[each] for each in law.variables})
        for name, law in surface.laws.items()
        if target
    }
    done = _columns(study.held_out_done, rate)
    regrets: tuple[Regret, ...] = ()
    if len(done) and advice:
        settings = _settings(study, rate, table, target, done.iloc[0], advice)
        regrets = tuple(_regret(study, rate, done, each) for each in settings)
    return Grids(study, rate, table, optima, surface, advice, target, regrets)


def _columns(runs: pd.DataFrame, rate: str) -> pd.DataFrame:
    """The runs with their hyperparameters and their token budgets; the tokens seen are whole steps,
    which depend on the batch."""
    if runs.empty:
        return runs
    return runs.assign(
        **{
            rate: runs["optimizer.learning_rate"],
            BATCH: runs["batch.sequences"] * runs["batch.seq_len"],
            TOKENS: runs["budget.tokens"],
        }
    )


def _target(study: StudyRecords) -> dict[str, float]:
    """The held-out cell, as planned; empty where nothing is held out."""
    if study.held_out.empty:
        return {}
    if study.held_out["rung"].nunique() > 1:
        raise UserError(f"{study.folder}: hold out one cell of size and tokens, a single rung")
    counted = ("params_total", "params_nonembedding", study.params, TOKENS)
    return {name: float(study.held_out[name].max()) for name in counted}


def _settings(
    study: StudyRecords,
    rate: str,
    table: pd.DataFrame,
    target: Mapping[str, float],
    shape: pd.Series,
    advice: Mapping[str, Prediction],
) -> list[Setting]:
    """Setting of each rule for the held-out cell: ours, the published ones, the nearest tuned."""
    log = np.log(table[[study.params, TOKENS]].to_numpy(float))
    away = np.linalg.norm(log - np.log([target[study.params], target[TOKENS]]), axis=1)
    nearest = table[away <= away.min() * (1 + 1e-9)]
    best = nearest.loc[nearest[study.loss].idxmin()]
    of_cell = f"best of N = {quantity(best[study.params])}, D = {quantity(best[TOKENS])}"
    tuned = Setting("nearest tuned setting", float(best[rate]), float(best[BATCH]), of_cell)
    given = {
        **target,
        "layers": float(shape["model.layers"]),
        "width": float(shape["model.width"]),
        "seq_len": float(shape["batch.seq_len"]),
        "tuned_lr": tuned.lr,
        "tuned_tokens": float(best[TOKENS]),
        "tuned_batch_tokens": tuned.batch_tokens,
    }
    found = [
        Setting("our fitted law", float(advice[rate].value), float(advice[BATCH].value)), tuned
    ]  # fmt: skip
    for law in HYPERPARAMETER_LAWS.values():
        said = {each.quantity: each for each in side_by_side([law], given) if not each.missing}
        said = {name: each for name, each in said.items() if name in (rate, BATCH)}
        if not said:
            continue
        remarks = [f"{'batch' if name == BATCH else 'lr'} tuned" for name in (rate, BATCH)
                   if name not in said]  # fmt: skip
        if any(each.range is Range.OUTSIDE for each in said.values()):
            factor = max(map(farthest, said.values()))
            remarks.append(f"{quantity(factor)} x out of range")
        remarks += dict.fromkeys(
            f"{'batch' if name == BATCH else 'lr'}: constants {each.rule.confidence}"
            for name, each in said.items()
            if each.rule.confidence is Confidence.RECALLED
        )
        found.append(
            Setting(
                law.name,
                said[rate].value if rate in said else tuned.lr,
                said[BATCH].value if BATCH in said else tuned.batch_tokens,
                "; ".join(remarks),
            )
        )
    return found


def _regret(study: StudyRecords, rate: str, done: pd.DataFrame, setting: Setting) -> Regret:
    asked = {rate: setting.lr, BATCH: setting.batch_tokens}
    runs = done.drop(columns="part")  # held out of the fit; here they measure the regret
    row = regret(
        runs, lambda _: asked, cell=(study.params, TOKENS), hyper=(rate, BATCH), loss=study.loss
    ).iloc[0]
    off = any(not done[name].min() <= value <= done[name].max() for name, value in asked.items())
    return Regret(setting, math.exp(row["distance"]), float(row["excess"]), off)


def _here(table: pd.DataFrame, cell: Mapping[str, float]) -> Any:
    return np.logical_and.reduce([np.isclose(table[name], at) for name, at in cell.items()])


def _form(law: OptimumLaw, name: str) -> str:
    """lr = 1.8 N^-0.7 [-0.8, -0.6] D^0.3 [0.2, 0.4]."""
    parts = [f"{name} = {law.params['coefficient']:.3g}"]
    for variable in law.variables:
        power = f"{'D' if variable == TOKENS else 'N'}^{law.params[variable]:.2f}"
        if len(law.samples):
            low, high = law.interval(variable)
            power += f" [{low:.2f}, {high:.2f}]"
        parts.append(power)
    return " ".join(parts)


def _value(found: Prediction, say: Any) -> str:
    value, low, high = (float(each) for each in (found.value, found.low, found.high))
    return say(value) if math.isnan(low) else f"{say(value)} [{say(low)}, {say(high)}]"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _plain(value: float) -> str:
    return f"{value:.3g}"


def _optimum(entry: Any, say: Any) -> str:
    """The vertex with its interval, a bound, or why there is neither."""
    if entry.status is Where.INSIDE:
        low, high = entry.interval()
        return f"{say(entry.value)} [{say(low)}, {say(high)}]"
    sign = {Where.LOW: "<=", Where.HIGH: ">="}
    return f"{sign[entry.status]} {say(entry.value)}" if entry.status in sign else str(entry.status)
