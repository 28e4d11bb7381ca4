"""Routed models of a study: the bilinear law of each router, and the dense model that it is worth.

    lg L = a lg N + b lg E^ + c lg N lg E^ + d          (scaling/laws/routed.py)

For each router the law is fitted to its runs and the dense ones, E = 1. N is `params_active` of the
dense run of the same rung, the parameters that a token meets but for the router. The effective
parameter count N_bar is the dense model of equal loss by the law: L(N_bar, 1) = L(N, E).

The collapse is measured by a second law, lg L = d + a lg N, of the dense runs alone: the root mean
square of lg L of the routed runs about it, at their N and at their N_bar. With fewer numbers of
experts than `SATURATE` nothing tells where E^ saturates, and the law has E^ = E. Intervals are
those of resampled runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.plotting.numbers import quantity
from analysis.readings._finding import Picture, TextTable
from analysis.tables.points import Array
from analysis.tables.study import StudyRecords
from experiments.record import Status, StudyPart
from scaling.common.answers import Ranged
from scaling.common.errors import UserError
from scaling.laws import by_name
from scaling.laws.routed import cutoff, effective_params

if TYPE_CHECKING:
    import pandas as pd

SATURATE = 5  # numbers of experts, E = 1 among them, from which E_start and E_max are fitted
UNSATURATED = {"E_start": 1.0, "E_max": 1e6}
BOOTSTRAP = 400
N, E = "params_dense", "experts"
INTERVAL = 0.025, 0.975


@dataclass(frozen=True)
class Router:
    """One router: the law of its runs and the dense ones.

    Attributes:
        runs: its fitted runs, without the dense ones; `held_out` those to predict.
        collapse: root mean squares of lg L about the dense law, at N and at N_bar.
    """

    name: str
    fit: FitResult
    runs: pd.DataFrame
    held_out: pd.DataFrame
    collapse: tuple[float, float]

    @property
    def c(self) -> Ranged:
        """The bilinear constant and its interval; above 0, routing helps large models less."""
        return self.fit.params["c"], *self.fit.interval("c")

    def effective(self, rows: pd.DataFrame) -> Array:
        """N_bar of some runs."""
        return effective_params(self.fit.params, rows[N], rows[E])

    def worth(self, params: float, experts: float) -> Ranged:
        """N_bar / N of one model and its interval."""
        found = effective_params(self.fit.params, params, experts) / params
        drawn = effective_params(self._samples, params, experts) / params
        low, high = np.nanquantile(drawn, INTERVAL)
        return float(found), float(low), float(high)

    def predict(self, rows: pd.DataFrame) -> tuple[Array, Array, Array]:
        """The loss of some runs and its interval, with the noise of a run."""
        at = {"params": rows[N].to_numpy(float), "experts": rows[E].to_numpy(float)}
        value = self.fit.law.predict(self.fit.estimates, **at)
        drawn = self.fit.law.predict(
            {name: values[:, None] for name, values in self._free.items()}, **at
        )
        noise = np.random.default_rng(0).normal(0, self.fit.noise, drawn.shape)
        low, high = np.quantile(drawn * np.exp(noise), INTERVAL, axis=0)
        return value, low, high

    @property
    def _free(self) -> Mapping[str, Array]:
        return dict(zip(self.fit.law.parameters, self.fit.samples.T, strict=True))

    @property
    def _samples(self) -> Mapping[str, Array]:
        return self.fit.law.filled(self._free)

    @property
    def cutoff(self) -> str:
        """The size beyond which routing no longer helps, if the sign of c is known."""
        _, low, high = self.c
        if not low > 0:
            return "none: c may be 0" if high >= 0 else "none: c is below 0"
        return quantity(float(cutoff(self.fit.params)))


@dataclass(frozen=True)
class Routed:
    """The laws of all routers of a study."""

    study: StudyRecords
    dense: pd.DataFrame
    routers: tuple[Router, ...]

    def __str__(self) -> str:
        largest = max(float(each.runs[N].max()) for each in self.routers)
        said = []
        for each in self.routers:
            most = float(each.runs[E].max())
            ends = "{:.2f} [{:.2f}, {:.2f}]".format(*each.worth(largest, most))
            said.append(f"{each.name} {ends}")
        return (
            f"dense size of equal loss, over N, at the largest N = {quantity(largest)} and most "
            f"experts: {', '.join(said)}"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        fixed = "nothing tells where E^ saturates, so E^ = E: too few numbers of experts"
        unsaturated = any("E_max" in each.fit.law.fixed for each in self.routers)
        warnings = (f"{r.name}: {text}" for r in self.routers for text in r.fit.warnings)
        return (*((fixed,) if unsaturated else ()), *warnings)

    @property
    def predictions(self) -> Mapping[str, float]:
        return {
            str(run): float(value)
            for each in self.routers
            for run, value in zip(
                each.held_out["run_id"], each.predict(each.held_out)[0], strict=True
            )
        }

    @property
    def tables(self) -> Sequence[TextTable]:
        def three(values: Sequence[float]) -> str:
            return "{:.4f} [{:.4f}, {:.4f}]".format(*values)

        def constant(fit: FitResult, name: str) -> str:
            return three((fit.params[name], *fit.interval(name)))

        law = TextTable(
            "The bilinear law of each router",
            "c above 0: routing helps large models less; N_cutoff, where it no longer helps at all",
            ("router", "runs", "a", "b", "c", "N_cutoff"),
            tuple(
                (
                    each.name, str(len(each.fit.points)), constant(each.fit, "a"),
                    constant(each.fit, "b"), three(each.c), each.cutoff,
                )
                for each in self.routers
            ),
        )  # fmt: skip
        collapse = TextTable(
            "Effective parameter count",
            "root mean square of lg L about the law of the dense runs, at N and at N_bar",
            ("router", "at N", "at N_bar"),
            tuple(
                (each.name, *(f"{value:.4f}" for value in each.collapse)) for each in self.routers
            ),
        )
        rows = []
        for each in self.routers:
            predicted = zip(*each.predict(each.held_out), strict=True)
            for row, ends in zip(each.held_out.to_dict("records"), predicted, strict=True):
                measured = float(row[self.study.loss])
                seen = f"{measured:.4f}" if math.isfinite(measured) else "not trained"
                rows.append((each.name, quantity(row[N]), f"{row[E]:.0f}", three(ends), seen))
        held = TextTable(
            "Held-out models",
            f"predicted loss in {self.study.unit}, with its 95 % interval",
            ("router", "N", "E", "predicted", "measured"),
            tuple(rows),
        )
        return (law, collapse, held) if rows else (law, collapse)

    def pictures(self) -> Sequence[Picture]:
        return (
            Picture(
                "routed",
                partial(draw, self),
                "Loss against N, and against the effective parameter count.",
                "Above: a line for each number of experts. Below: the same runs at their N_bar, "
                "with the law of the dense runs.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> Sequence[Path]:
        return ()


def read(study: StudyRecords) -> Routed | None:
    """The laws, or None before enough runs have finished.

    Raises:
        UserError: no dense runs, or a rung without one.
    """
    runs = study.runs.assign(**{E: _experts(study.runs)})
    is_dense = runs["label"] == "dense"
    sizes = runs[is_dense].set_index("rung")["params_active"]
    if sizes.empty or not set(runs["rung"]) <= set(sizes.index):
        raise UserError(f"{study.folder}: a rung has no run labelled dense, so its N is unknown")
    runs = runs.assign(**{N: runs["rung"].map(sizes).astype(float)})
    done = (runs["status"] == str(Status.COMPLETED)) & (runs["part"] == str(StudyPart.FIT))
    dense = runs[done & is_dense]
    names = [name for name in dict.fromkeys(runs["label"]) if name != "dense"]
    if len(dense) < 2 or any((done & (runs["label"] == name)).sum() < 4 for name in names):
        return None
    return Routed(study, dense, tuple(_router(study, runs, done, name) for name in names))


def _experts(runs: pd.DataFrame) -> pd.Series:
    """E of every run. The plan does not name it: of runs that are not trained yet it follows from
    their idle parameters, which are in proportion to E - 1 among the runs of a rung."""
    experts = runs["model.experts"].clip(lower=1)
    idle = runs["params_total"] - runs["params_unique"]
    of_one = (idle / (experts - 1))[experts > 1].groupby(runs["rung"]).first()
    return experts.fillna((1 + idle / runs["rung"].map(of_one)).round())


def _router(study: StudyRecords, runs: pd.DataFrame, done: Any, name: str) -> Router:
    own = runs["label"] == name
    table = runs[done & (own | (runs["label"] == "dense"))]
    law = by_name("routed")
    if table[E].nunique() < SATURATE:
        law = law.given(**UNSATURATED)
    found = fit(
        law,
        table[["run_id", "status", N, E, study.loss]],  # the dense runs belong to every router
        loss=study.loss,
        columns={"params": N, "experts": E},
        objective="log_squared",
        bootstrap=BOOTSTRAP,
    )
    mine, dense = table[table["label"] == name], table[table["label"] == "dense"]
    line = np.polyfit(np.log10(dense[N]), np.log10(dense[study.loss]), 1)

    def about(params: Any) -> float:
        off = np.log10(mine[study.loss]) - np.polyval(line, np.log10(params))
        return float(np.sqrt(np.mean(off**2)))

    worth = effective_params(found.params, mine[N], mine[E])
    held_out = runs[own & (runs["part"] == str(StudyPart.HELD_OUT))]
    return Router(name, found, mine, held_out, (about(mine[N]), about(worth)))


def draw(found: Routed) -> Any:
    """Two rows of panels, one column for each router."""
    from matplotlib.figure import Figure

    from analysis.plotting.style import FITTED, INK, SIZE, house_style, log_log, rung_style

    loss = found.study.loss
    dense = found.dense.sort_values(N)
    line = np.polyfit(np.log10(dense[N]), np.log10(dense[loss]), 1)
    with house_style():
        columns = len(found.routers)
        figure = Figure(figsize=(0.7 * SIZE[0] * columns, 1.5 * SIZE[1]), layout="constrained")
        grid = figure.subplots(2, columns, sharey=True, squeeze=False)
        for (above, below), each in zip(grid.T, found.routers, strict=True):
            numbers = sorted(each.runs[E].unique())
            above.plot(dense[N], dense[loss], color=INK, marker="o", label="E = 1")
            below.plot(dense[N], dense[loss], color=INK, marker="o", linestyle="none")
            for at, experts in enumerate(numbers):
                rows = each.runs[each.runs[E] == experts].sort_values(N)
                look = rung_style(at, len(numbers))
                above.plot(rows[N], rows[loss], label=f"E = {experts:.0f}", **look)
                below.plot(each.effective(rows), rows[loss], **{**look, "linestyle": "none"})
            worth = each.effective(each.runs)
            span = np.geomspace(min(dense[N].min(), worth.min()), max(dense[N].max(), worth.max()))
            below.plot(span, 10 ** np.polyval(line, np.log10(span)), color=FITTED)
            log_log(above, "N", f"{each.name}: loss, {found.study.unit}")
            log_log(below, "N_bar", f"loss, {found.study.unit}")
        grid[0, 0].legend()
    return figure
