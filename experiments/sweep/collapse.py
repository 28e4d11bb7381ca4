"""Alarm of a run whose learning curve leaves the band of its siblings'.

Curves of one schedule collapse over sizes once their loss is divided by that of a fixed share of
training (supercollapse: Qiu et al. 2025, arXiv 2507.02119). A run that is under way has no final
loss, so the share is half of what it has done:

    f(x) = ln L(x / 2) - ln L(x),   L a mean over shares within a tenth of x

Siblings are completed runs of the same schedule and label. A run is named where its f differs from
their mean by more than 4 (sd^2 + 0.005^2)^(1/2), with three siblings or more. The rule is a hint:
small runs collapse less well than large ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.plan.run import Run
from experiments.record import METRICS, read_rows
from experiments.sweep.sweep import Standing, Sweep

Array = NDArray[np.float64]
Kind = tuple[object, ...]  # schedule and label
FEWEST = 3  # siblings
LEAST_SHARE = 0.1  # of training: before it, warm-up rules
WIDTH = 0.1  # of a share, over which losses are averaged
SDS, FLOOR = 4.0, 0.005


@dataclass(frozen=True)
class Curve:
    """Shares of training done and training losses, each (n,)."""

    share: Array
    loss: Array

    def fall(self, share: float) -> float:
        """ln L(share / 2) - ln L(share); nan where no row lies near either."""
        return self._log(share / 2) - self._log(share)

    def _log(self, share: float) -> float:
        near = np.abs(self.share - share) <= WIDTH * share
        return math.log(float(self.loss[near].mean())) if near.any() else math.nan


def outside(curve: Curve, siblings: Sequence[Curve]) -> str:
    """The way in which a curve leaves the band of its siblings, in words; else nothing."""
    share = float(curve.share[-1]) if len(curve.share) else 0.0
    if share < LEAST_SHARE:
        return ""
    ours, found = curve.fall(share), [each.fall(share) for each in siblings]
    theirs = [fall for fall in found if math.isfinite(fall)]
    if not math.isfinite(ours) or len(theirs) < FEWEST:
        return ""
    middle, sd = float(np.mean(theirs)), float(np.std(theirs, ddof=1))
    if abs(ours - middle) <= SDS * math.hypot(sd, FLOOR):
        return ""
    return (
        f"its training loss fell by {100 * ours:.1f} % over the last half of what is done, that of "
        f"{len(theirs)} siblings by {100 * middle:.1f} +- {100 * sd:.1f} %: look at its settings"
    )


def alarms(sweep: Sweep, standings: Mapping[str, Standing]) -> list[str]:
    """A line for each run under way whose curve leaves its siblings' band."""
    runs = sweep.study.runs
    under_way = [run for run in runs if standings[run.run_id] in (Standing.RUNNING, Standing.STALE)]
    kinds = set(map(_kind, under_way))
    ended: dict[Kind, list[Curve]] = {kind: [] for kind in kinds}
    for run in runs:
        if standings[run.run_id] is Standing.DONE and _kind(run) in kinds:
            ended[_kind(run)].append(_curve(sweep, run))
    found = {run.run_id: outside(_curve(sweep, run), ended[_kind(run)]) for run in under_way}
    return [f"{run}: {said}" for run, said in found.items() if said]


def _kind(run: Run) -> Kind:
    return run.config.science.schedule, run.label


def _curve(sweep: Sweep, run: Run) -> Curve:
    rows = list(read_rows(sweep.folder / run.run_id / METRICS))
    kept = [(row.tokens, row.loss) for row in rows if math.isfinite(row.loss) and row.loss > 0]
    tokens, loss = np.array(kept, np.float64).reshape(-1, 2).T
    return Curve(tokens / run.ledger["tokens"], loss)
