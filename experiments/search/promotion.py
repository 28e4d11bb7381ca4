"""Runs promoted to a larger budget continue from their last checkpoint.

Under a constant schedule with warm-up in steps, a run of S steps is the beginning of any longer one
(experiments/plan/branching.py). So the longer run takes over the shorter one's checkpoint and rows.
It ends bit for bit in the state of an uninterrupted run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from experiments import record
from experiments.config.run import RunConfig
from experiments.launchers import Launcher
from experiments.plan.run import Beginning, Continued, Fresh, Run
from experiments.plan.study import Study
from experiments.record import Status
from experiments.runs.job import Event
from experiments.search.plan import longer
from experiments.sweep.sweep import FINISHED, Sweep, bind, run_sweep
from scaling.common.errors import UserError

# the runs, the ids of the finished ones -> a context that takes the events
Watching = Callable[[Sequence[Run], Sequence[str]], AbstractContextManager[Callable[[Event], None]]]


class UnfinishedError(UserError):
    """Runs were interrupted, or failed on this machine; the same search continues them."""


@contextmanager
def unwatched(runs: Sequence[Run], finished: Sequence[str]) -> Iterator[Callable[[Event], None]]:
    """No watcher."""
    yield lambda event: None


@dataclass
class Evaluator:
    """Each candidate's validation loss at a budget: `evaluate` of experiments/search/halving.py.

    All runs of a search are one study in one folder. So the same candidates continue an interrupted
    search: finished runs are read. A diverged candidate would diverge again at the same step, and
    is not trained at larger budgets.

    Raises:
        UnfinishedError: a candidate was not trained to its end.
    """

    name: str
    folder: Path
    cache: Path
    launcher: Launcher
    unit: int  # tokens of budget 1
    watching: Watching = unwatched
    runs: dict[tuple[RunConfig, Fraction], Run] = field(default_factory=dict)
    diverged: set[RunConfig] = field(default_factory=set)

    def __call__(self, candidates: Sequence[RunConfig], budget: Fraction) -> list[float]:
        sound = [candidate for candidate in candidates if candidate not in self.diverged]
        for candidate in sound:
            shorter = [b for c, b in self.runs if c == candidate and b < budget]
            begun = _after(self.runs[candidate, max(shorter)]) if shorter else Fresh()
            config = longer(candidate, round(self.unit * budget))
            self.runs[candidate, budget] = Run(config, rung=0, beginning=begun)
        question = "Which candidate is the best at the largest budget?"
        study = Study(self.name, question, tuple(self.runs.values()))
        sweep = bind(study, self.folder, self.cache)
        bound = dict(zip(self.runs, sweep.study.runs, strict=True))
        finished = [run.run_id for run in sweep.study.runs if sweep.status(run) in FINISHED]
        with self.watching(sweep.study.runs, finished) as watch:
            run_sweep(sweep, record.StudyPart.FIT, self.launcher, watch)
        scores = {candidate: _score(sweep, bound[candidate, budget]) for candidate in sound}
        self.diverged |= {candidate for candidate in sound if math.isnan(scores[candidate])}
        return [scores.get(candidate, math.nan) for candidate in candidates]


def _after(run: Run) -> Beginning:
    return Continued(run, run.config.science.steps)


def _score(sweep: Sweep, run: Run) -> float:
    """The validation loss in nats per token; NaN where it diverged."""
    status = sweep.status(run)
    if status is Status.FAILED:
        raise UnfinishedError(f"{sweep.failure(run)}; search again to continue it")
    if status not in FINISHED:
        raise UnfinishedError(f"{sweep.folder / run.run_id}: {status}; search again to continue")
    if status is Status.DIVERGED:
        return math.nan
    loss = record.read(sweep.folder / run.run_id, record.RunSummary).metrics.loss
    assert loss is not None
    return loss
