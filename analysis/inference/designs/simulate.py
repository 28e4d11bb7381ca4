"""Studies simulated before they are run: the interval at a target that their runs would buy.

Each simulated study draws a truth (`truths`) and the noise of every run, fits the law, resamples it
by Dirichlet weights, rolls it forward and predicts a new run at the target, all as a real study
does (`analysis.fitting`). A new run is drawn there too, so that coverage is measured.

All fits of all studies are one batch (`solvers.tables`). Each starts at the fit of the mean truth,
where a real fit scans for starts: `tests/analysis/inference/designs` pins how close they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.bootstrap import resample_weights
from analysis.fitting.identifiability import unidentified
from analysis.fitting.prediction.roll import RUNG, origins
from analysis.fitting.result import FitResult
from analysis.fitting.solvers.engine import Ends, Engine, engine
from analysis.fitting.solvers.objective import objective
from analysis.fitting.solvers.tables import fit_tables
from analysis.fitting.types import LEVEL, FitRecipe, FitStatus
from analysis.inference.designs.truths import Truths
from analysis.tables.points import Array, Points
from scaling.common.errors import UserError
from scaling.laws import Law

BOOTSTRAP = 200  # resamples of each study: their sd alone is used
DELTA = 1e-3
STARTS = 8


@dataclass(frozen=True)
class Ladder:
    """The n runs of a study: the law to fit, its variables (n,) each, and the rung of each run."""

    law: Law
    variables: Mapping[str, Array]
    rung: NDArray[np.intp] | None = None

    def __post_init__(self) -> None:
        if len(self) <= len(self.law.parameters):
            raise UserError(
                f"law '{self.law.name}' has {len(self.law.parameters)} parameters and the study "
                f"{len(self)} runs: an interval needs at least {len(self.law.parameters) + 1}"
            )

    def __len__(self) -> int:
        return len(next(iter(self.variables.values())))

    @property
    def compute(self) -> Array:
        """6 params tokens of each run, (n,)."""
        return 6 * self.variables["params"] * self.variables["tokens"]

    def points(self, loss: Array) -> Points:
        """The runs with their losses, as a fit sees them."""
        import pandas as pd

        rows = pd.DataFrame({**self.variables, "loss": loss})
        if self.rung is not None:
            rows[RUNG] = self.rung
        labels = tuple(f"run{at}" for at in range(len(loss)))
        return Points(dict(self.variables), loss, np.ones(len(loss)), labels, rows)


@dataclass(frozen=True)
class Outcome:
    """S simulated studies of one kind of truth, (S, m): what they said of m targets, in log loss.

    `width` is the half-width of the interval, `error` that of a new run, measured less predicted,
    `inside` tells if it lies in the interval. `rungs` is the number of origins rolled. Studies
    whose fit is not certified are left out, and counted in `lost`.
    """

    kind: str
    width: Array = field(repr=False)
    error: Array = field(repr=False)
    rungs: Array = field(repr=False)
    lost: int

    @property
    def inside(self) -> NDArray[np.bool_]:
        return np.abs(self.error) <= self.width

    @property
    def coverage(self) -> float:
        """Share of the new runs that lie in their intervals."""
        return float(np.mean(self.inside))

    @property
    def coverage_se(self) -> float:
        """Binomial standard error of the coverage, with one success and one failure added."""
        count = len(self.inside) + 2
        share = (float(self.inside.mean(axis=1).sum()) + 1) / count
        return float(np.sqrt(share * (1 - share) / count))

    @property
    def score(self) -> float:
        """Mean interval score in log loss: 2 w + 2 / (1 - level) of each miss (Winkler 1972)."""
        miss = np.maximum(np.abs(self.error) - self.width, 0)
        return float(np.mean(2 * self.width + 2 / (1 - LEVEL) * miss))


def simulate(
    ladder: Ladder,
    targets: Mapping[str, Array],
    truths: Truths,
    bootstrap: int = BOOTSTRAP,
    seed: int = 0,
) -> Outcome:
    """Fit every simulated study and predict its targets.

    Raises:
        UserError: the law cannot be fitted to such runs, or they do not determine the targets.
    """
    law, rng = ladder.law, np.random.default_rng([seed, 1])
    logs = truths.runs + truths.runs_sd * rng.standard_normal(truths.runs.shape)
    measured = truths.targets + truths.targets_sd * rng.standard_normal(truths.targets.shape)
    middle = ladder.points(np.exp(truths.runs.mean(axis=0)))
    goal = objective("log_huber", DELTA)
    start = engine(law, middle, goal)(middle.weights[None], STARTS, None).values[0]
    size = len(law.parameters)
    found = dict(zip(law.parameters, start.tolist(), strict=True))
    if (lost := unidentified(law, middle, found))[0]:
        raise UserError(f"these runs cannot fit law '{law.name}': {'; '.join(lost[1])}")
    drawn = resample_weights("dirichlet", np.arange(len(ladder)), bootstrap, seed, size)
    rolled = [below.astype(float) for _, below in origins(law, middle)]
    weights = np.stack([middle.weights, *drawn, *rolled])
    ends = fit_tables(law, middle, goal, logs, weights, start)
    width, error, rolled_rungs = [], [], []
    for study, each in enumerate(ends):
        if not each.certified[0]:
            continue
        result = _result(ladder, np.exp(logs[study]), each, bootstrap)
        said = result.predict_at(targets)
        width.append((np.log(said.high) - np.log(said.low)) / 2)
        error.append(measured[study] - np.log(said.value))
        rolled_rungs.append(len(result.rolled))
    if not width:
        raise UserError("simulate: no simulated study has a certified fit; add runs to the plan")
    lost_fits = len(truths) - len(width)
    return Outcome(truths.kind, np.stack(width), np.stack(error), np.array(rolled_rungs), lost_fits)


def _result(ladder: Ladder, loss: Array, ends: Ends, bootstrap: int) -> FitResult:
    """The fit of one study: its resamples are known, and so are its origins."""
    law, points = ladder.law, ladder.points(loss)
    last = Ends(*(getattr(ends, name)[1 + bootstrap :] for name in Ends.__dataclass_fields__))
    goal = objective("log_huber", DELTA)
    recipe = FitRecipe(
        loss="loss",
        columns={name: name for name in law.variables},
        where=(),
        objective=goal,
        bootstrap=bootstrap,
        resampling="dirichlet",
        cluster=None,
        seed=0,
        drop_highest=0,
        weights="equal",
        holdout=None,
    )
    return FitResult(
        law=law,
        estimates=dict(zip(law.parameters, ends.values[0].tolist(), strict=True)),
        objective=float(ends.objective[0]),
        status=FitStatus.CONVERGED,
        warnings=(),
        unidentified=(),
        bounded=(),
        points=points,
        samples=ends.values[1 : 1 + bootstrap],
        recipe=recipe,
        engine=Engine(lambda weights, starts, warm: last, "", "", ""),
    )
