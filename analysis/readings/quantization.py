"""Costs of fewer bits: of rounding after training, and of a switch to ternary matrices.

    cost = L(rounded) - L(trained)
    ln cost = c + gD ln D - gN ln N - bits / g      (Kumar et al. 2024, arXiv:2411.04330)

The line is fitted for each seed, by least squares over the costs above 0. The gap at the switch is
the greatest excess of the training loss over the dense control's at the same step, and the gap at
the end that of the validation loss. Intervals are over seeds, by Student's t.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.bootstrap import mean_interval
from analysis.fitting.types import LEVEL
from analysis.plotting.numbers import quantity, ranged
from analysis.plotting.style import MARKERS, RAMP, house_style
from analysis.readings._finding import Picture, TextTable
from analysis.tables.runs import trajectory
from analysis.tables.study import StudyRecords
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

TRAINED, ROUNDED, DENSE, THROUGHOUT = "trained", "rounded", "dense", "ternary throughout"
BITS = "operation.bits"
CONSTANTS = ("gD", "gN", "g")


@dataclass(frozen=True)
class Rounded:
    """Models of one size and budget at one number of bits: a cost for each seed."""

    params: float
    tokens: float
    bits: int
    costs: tuple[float, ...]


@dataclass(frozen=True)
class Switch:
    """One way to switch at one size: gaps for each seed, at the switch and at the end."""

    label: str
    params: float
    first: tuple[float, ...]  # empty of a model without a switch
    last: tuple[float, ...]


@dataclass(frozen=True)
class Quantization:
    """The costs, the constants of their law for each seed, and the switches."""

    rounded: tuple[Rounded, ...]
    constants: Mapping[str, tuple[float, ...]]
    switches: tuple[Switch, ...]
    unit: str
    notes: tuple[str, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        said = []
        if self.constants:
            value, low, high = mean_interval(self.constants["gD"], LEVEL)
            sure = "" if low > 0 or high < 0 else ", a sign that the seeds leave open"
            said.append(f"the cost of rounding goes as D^{ranged((value, low, high), '.2f')}{sure}")
        ends = [each for each in self.switches if each.first]
        if ends:
            largest = max(each.params for each in ends)
            best = min((e for e in ends if e.params == largest), key=lambda e: np.mean(e.last))
            found = ranged(mean_interval(best.last, LEVEL), ".4f")
            said.append(
                f"at {quantity(largest)} parameters the best switch is {best.label}: {found} above "
                "dense at the end"
            )
        return "; ".join(said) or "models rounded after training, too few for a law"

    @property
    def tables(self) -> tuple[TextTable, ...]:
        costs = tuple(
            (
                quantity(each.params), quantity(each.tokens), str(each.bits),
                ranged(mean_interval(each.costs, LEVEL), ".4f"), str(len(each.costs)),
            )
            for each in self.rounded
        )  # fmt: skip
        law = tuple(
            (name, ranged(mean_interval(values, LEVEL), ".3f"), str(len(values)))
            for name, values in self.constants.items()
        )
        switches = tuple(
            (
                each.label, quantity(each.params),
                ranged(mean_interval(each.first, LEVEL), ".4f") if each.first else "-",
                ranged(mean_interval(each.last, LEVEL), ".4f"), str(len(each.last)),
            )
            for each in self.switches
        )  # fmt: skip
        note = f"in {self.unit}; 95 % intervals by Student's t over seeds"
        heads = "params", "tokens", "bits", "cost", "seeds"
        found = [TextTable("Cost of rounding after training", note, heads, costs)]
        if law:
            form = "ln cost = c + gD ln D - gN ln N - bits / g, for each seed; 95 % intervals by "
            own = "constant", "value", "seeds"
            found.append(TextTable("Law of the cost", f"{form}Student's t over seeds", own, law))
        if switches:
            heads = "model", "params", "gap at the switch", "gap at the end", "seeds"
            against = "above the dense model of the same optimizer's state, "
            found.append(TextTable("Switches to ternary", against + note, heads, switches))
        return tuple(found)

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "quantization",
                lambda: draw(self),
                "Cost of rounding against tokens per parameter.",
                "Means over seeds; one line for each size and number of bits.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        return ()


def read(study: StudyRecords) -> Quantization | None:
    """The costs and gaps of the finished runs; None before one is rounded.

    Raises:
        UserError: the records name no bits.
    """
    done = study.fit_runs
    if BITS not in done:
        if ROUNDED in set(done["label"]):
            raise UserError(f"{study.folder}: the records name no bits; run the study quantization")
        return None
    trained = done[done["label"] == TRAINED].set_index("run_id")[[study.loss, "tokens"]]
    before = trained.set_axis(["loss_before", "tokens_before"], axis="columns")
    costs = done[done["label"] == ROUNDED].join(before, on="parents").dropna(subset="loss_before")
    if costs.empty:
        return None
    costs = costs.assign(cost=costs[study.loss].astype(float) - costs["loss_before"].astype(float))
    classes = costs.groupby([study.params, "tokens_before", BITS])
    rounded = tuple(_rounded(own, study.params) for _, own in classes)
    fits = [_law(own, study.params) for _, own in costs[costs["cost"] > 0].groupby("seed")]
    whole = [each for each in fits if each is not None]
    constants = {
        name: tuple(each[i] for each in whole) for i, name in enumerate(CONSTANTS) if whole
    }
    below = int((costs["cost"] <= 0).sum())
    notes = (f"{below} rounded models are no worse; the law leaves them out",) if below else ()
    return Quantization(rounded, constants, tuple(_switches(study, done)), study.unit, notes)


def _rounded(costs: pd.DataFrame, params: str) -> Rounded:
    n, d, bits = (float(costs[name].iloc[0]) for name in (params, "tokens_before", BITS))
    return Rounded(n, d, int(bits), tuple(costs["cost"]))


def _law(costs: pd.DataFrame, params: str) -> Ranged | None:
    """gD, gN and g of one seed; None where its runs leave them open."""
    N, D, bits = (costs[name].astype(float) for name in (params, "tokens_before", BITS))
    X = np.column_stack([np.ones(len(costs)), np.log(D), -np.log(N), -bits])
    if len(costs) <= 4 or np.linalg.matrix_rank(X - X.mean(0)) < 3:
        return None
    _, gD, gN, inverse = np.linalg.lstsq(X, np.log(costs["cost"].astype(float)), rcond=None)[0]
    return float(gD), float(gN), float(1 / inverse)


def _switches(study: StudyRecords, done: pd.DataFrame) -> list[Switch]:
    """The gaps of each ternary model to the dense one of its seed and size."""
    dense = {
        (row[study.params], row["seed"], row["label"]): row
        for _, row in done[done["label"].str.startswith(DENSE)].iterrows()
    }
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for _, row in done[done["label"].str.startswith("ternary")].iterrows():
        state = "kept" if row["label"] == THROUGHOUT else row["label"].split(", ")[1]
        control = dense.get((row[study.params], row["seed"], f"{DENSE}, {state}"))
        if control is not None:
            first = np.nan if row["label"] == THROUGHOUT else _excess(row["path"], control["path"])
            last = float(row[study.loss]) - float(control[study.loss])
            key = str(row["label"]), float(row[study.params])
            found.setdefault(key, []).append((first, last))
    switches = []
    for (label, params), gaps in found.items():
        starts, ends = map(np.array, zip(*gaps, strict=True))
        switches.append(Switch(label, params, tuple(starts[np.isfinite(starts)]), tuple(ends)))
    return switches


def _excess(one: str, other: str) -> float:
    """The greatest excess of a training loss over another's, in rows of the same steps."""
    losses = []
    for path in (one, other):
        rows = trajectory(path).dropna(subset=["seconds"])
        losses.append(rows.set_index("step")["loss"].astype(float))
    return float((losses[0] - losses[1]).max())


def draw(found: Quantization) -> Any:
    """Mean cost against tokens per parameter, on logarithmic axes."""
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(4.5, 3.6), layout="constrained")
        axes = figure.subplots()
        lines = dict.fromkeys((each.params, each.bits) for each in found.rounded)
        for k, (params, bits) in enumerate(lines):
            own = [e for e in found.rounded if (e.params, e.bits) == (params, bits)]
            axes.plot(
                [each.tokens / each.params for each in own], [np.mean(each.costs) for each in own],
                marker=MARKERS[k % len(MARKERS)], color=RAMP[(1 + k) % len(RAMP)], lw=1,
                label=f"{quantity(params)} parameters, {bits} bits",
            )  # fmt: skip
        axes.set(
            xscale="log", xlabel="tokens per parameter", ylabel=f"cost of rounding ({found.unit})"
        )
        axes.legend(fontsize=7)
        return figure
