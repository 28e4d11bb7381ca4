"""The trainer: one run from its config to its record, interruptible at any dispatch.

The device is never stopped to print a number: while one dispatch runs, the metrics of the one
before it are fetched and written, and the next batches are gathered by the loader's thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import numpy as np

from experiments import data, record
from experiments.checkpoint import Checkpoints
from experiments.hypers import Hypers, hypers
from experiments.job import Event, Job
from experiments.log import MetricsLog
from experiments.record import Status
from experiments.step import (
    Metrics,
    Recipe,
    TrainState,
    evaluate,
    init_state,
    recipe,
    train_chunk,
)
from experiments.summary import write_config, write_summary


@dataclass(frozen=True)
class Programs:
    """The compiled programs of a recipe; `chunk` takes the state's buffers for its own."""

    init: Callable[[Hypers], TrainState]
    chunk: Callable[[TrainState, Hypers, Any], tuple[TrainState, Metrics]]
    evaluate: Callable[[Any, Any], jax.Array]


# The init of a small model costs LLVM more to optimise than it ever takes to run
QUICK_COMPILE = {"cpu": {"xla_backend_optimization_level": 0}, "gpu": None, "tpu": None}


@cache
def programs(recipe: Recipe) -> Programs:
    """One set of programs per recipe: every learning rate, schedule length and seed shares it."""
    options = QUICK_COMPILE[jax.default_backend()]
    return Programs(
        init=jax.jit(partial(init_state, recipe), compiler_options=options),
        chunk=jax.jit(partial(train_chunk, recipe), donate_argnums=0),
        evaluate=jax.jit(partial(evaluate, recipe)),
    )


def train(
    job: Job,
    corpus: data.Corpus,
    *,
    watch: Callable[[Event], None] = lambda event: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Status:
    """Train one run, or go on with it where its checkpoint stands, and write its record.

    Returns:
        COMPLETED or DIVERGED, as in its summary; STARTED if `interrupted` said so, with a
        checkpoint saved and no summary.
    """
    run, science = job.run, job.run.config.science
    watch(Event(run.run_id, "compiling"))
    write_config(job)
    leaves, compiled = hypers(science), programs(recipe(run.config))
    with Checkpoints(job.folder / record.CHECKPOINTS) as checkpoints:
        state = checkpoints.restore(compiled.init(leaves))
        watch(Event(run.run_id, "compiling", int(state.step)))
        log = MetricsLog(job.folder / record.METRICS, first_step=int(state.step))
        loop = _Loop(job, compiled, leaves, corpus, checkpoints, log, watch, interrupted)
        state, status, diverged = loop.run(state)
        if status is Status.STARTED:
            watch(Event(run.run_id, status, int(state.step)))
            return status
        loss = math.nan
        if status is Status.COMPLETED:
            checkpoints.save(science.steps, state)
            loss = loop.validate(state)
            if not math.isfinite(loss):
                status, diverged = Status.DIVERGED, science.steps
    write_summary(job, corpus, status, diverged=diverged, loss=loss, log=log)
    watch(Event(run.run_id, status, science.steps if diverged is None else diverged, loss))
    return status


@dataclass
class _Loop:
    """The loop over dispatches, with what it needs at hand."""

    job: Job
    compiled: Programs
    hypers: Hypers
    corpus: data.Corpus
    checkpoints: Checkpoints
    log: MetricsLog
    watch: Callable[[Event], None]
    interrupted: Callable[[], bool]

    def run(self, state: TrainState) -> tuple[TrainState, Status, int | None]:
        """Step to the end, a divergence or an interruption: (state, status, diverged step)."""
        science, execution = self.job.run.config.science, self.job.run.config.execution
        step, total = int(state.step), science.steps
        evaluations = _evaluation_steps(total, science.evaluation.times)
        saved = time.monotonic()
        late: tuple[int, Metrics] | None = None
        for batches in self._batches(step):
            taken = min(execution.steps_per_dispatch, total - step)
            state, metrics = self.compiled.chunk(state, self.hypers, batches)
            diverged = self._fetch(late)
            late, step = (step, metrics), step + taken
            if diverged is not None:
                return state, Status.DIVERGED, diverged
            stop = self.interrupted()
            due = time.monotonic() - saved > execution.checkpoint_seconds
            passed = [at for at in evaluations if step - taken < at <= step < total]
            if stop or due or passed:
                diverged, late = self._fetch(late), None
                if diverged is not None:
                    return state, Status.DIVERGED, diverged
            if passed:
                self.log.evaluation(step, science.batch.batch_tokens, self.validate(state))
            if stop or due:
                self.checkpoints.save(step, state)
                saved = time.monotonic()
            if stop:
                return state, Status.STARTED, None
        diverged = self._fetch(late)
        return state, Status.COMPLETED if diverged is None else Status.DIVERGED, diverged

    def _batches(self, step: int) -> Iterator[np.ndarray]:
        science = self.job.run.config.science
        return data.chunks(
            self.corpus.train,
            seed=science.seed,
            sequences=science.batch.sequences,
            seq_len=science.batch.seq_len,
            start_step=step,
            stop_step=science.steps,
            steps_per_chunk=self.job.run.config.execution.steps_per_dispatch,
        )

    def _fetch(self, late: tuple[int, Metrics] | None) -> int | None:
        """Write one dispatch's row; the first step whose loss is not finite, if there is one."""
        if late is None:
            return None
        science = self.job.run.config.science
        start, metrics = late
        rows = min(len(metrics["loss"]), science.steps - start)
        values = {name: np.asarray(value)[:rows] for name, value in metrics.items()}
        broken = np.flatnonzero(~np.isfinite(values["loss"]))
        if len(broken):
            return start + int(broken[0])
        rate = self.log.row(start + rows, science.batch.batch_tokens, rows, values)
        loss = float(values["loss"].mean())
        self.watch(Event(self.job.run.run_id, "training", start + rows, loss, rate))
        return None

    def validate(self, state: TrainState) -> float:
        """The loss on the fixed validation windows, nats per token."""
        science = self.job.run.config.science
        self.watch(Event(self.job.run.run_id, "evaluating", int(state.step)))
        windows = data.validation_windows(
            self.corpus.valid, science.evaluation.windows, science.batch.seq_len
        )
        part = math.gcd(len(windows), recipe(self.job.run.config).microbatch)
        parts = windows.reshape(-1, part, windows.shape[-1])
        return float(self.compiled.evaluate(state.params, parts))


def _evaluation_steps(steps: int, times: int) -> list[int]:
    return [round(steps * i / times) for i in range(1, times)]
