"""Two ends of a run's record: config.json before training, summary.json after it."""

from __future__ import annotations

import logging
import math
import os
import platform
import subprocess
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from experiments import record
from experiments.config.fields import to_dict
from experiments.config.optimizer import BITS
from experiments.data import Mixture
from experiments.plan.run import Derived, Run
from experiments.record import (
    Derivation,
    Environment,
    Measured,
    Parent,
    RunRecord,
    RunSummary,
    Status,
    finite,
)
from experiments.runs.claim import ClaimLostError
from experiments.runs.job import Event, Job, Outcome
from experiments.runs.metrics_log import MetricsLog
from scaling.common.errors import UserError
from scaling.common.files import DiskError
from scaling.counting.formulas import params_by_part

Parents = tuple[Parent, ...]
log = logging.getLogger(__name__)

# Errors that are no run's own: the disk's, a lost claim, a sweep that is gone
NOT_OF_A_RUN = (DiskError, ClaimLostError, BrokenPipeError)


def write_config(job: Job, begun_from: Parents) -> None:
    """Write config.json, or check that the present one is of this version."""
    if (job.folder / record.CONFIG).exists():
        record.read(job.folder, RunRecord)
    else:
        record.write(job.folder, RunRecord(**_identity(job, begun_from)))


def write_summary(
    job: Job, mixture: Mixture, begun_from: Parents, outcome: Outcome, log: MetricsLog
) -> None:
    """Write summary.json of a run that trained to its end or diverged."""
    environment = _environment(outcome.members)
    joules = log.joules if environment.processes == 1 else None  # of this host alone
    summary = RunSummary(
        **_identity(job, begun_from),
        status=outcome.status,
        message=outcome.message,
        diverged_step=outcome.diverged_step,
        metrics=_measured(job, mixture, outcome, log, joules),
        environment=environment,
        prediction_sha256=job.prediction_sha256,
        files=record.sums(job.folder),
    )
    record.write(job.folder, summary)


def fail(job: Job, error: Exception, watch: Callable[[Event], None]) -> None:
    """Record a run as failed by its own error, whose trace goes to the worker's log.

    Raises:
        ClaimLostError: by `watch`; another worker took the run over, and the error came of that.
    """
    log.error("%s: failed", job.folder, exc_info=error)
    watch(Event(job.run.run_id, "failing"))
    write_failure(job, reason(error))
    watch(Event(job.run.run_id, Status.FAILED))


def reason(error: Exception) -> str:
    """The first line of an error; that of an unexpected one begins with its kind."""
    line = str(error).strip().partition("\n")[0]
    kind = type(error).__name__
    expected = isinstance(error, UserError) or kind == "JaxRuntimeError"
    return line if expected and line else f"{kind}: {line}".removesuffix(": ")


def write_failure(job: Job, message: str) -> None:
    """Write summary.json of a run that an error ended, with the error's line."""
    summary = RunSummary(
        **_identity(job, ()),
        status=Status.FAILED,
        message=message,
        environment=Environment(**_software()),
        prediction_sha256=job.prediction_sha256,
        files=record.sums(job.folder),
    )
    record.write(job.folder, summary)


def _identity(job: Job, begun_from: Parents) -> dict[str, Any]:
    run = job.run
    return {
        "run_id": run.run_id,
        "study": job.study,
        "part": run.part,
        "rung": run.rung,
        "label": run.label,
        "science": to_dict(run.config.science),
        "execution": to_dict(run.config.execution),
        "laws": {given.path: given.record() for given in run.given},
        "parents": begun_from,
        "derivation": _derivation(run),
        "accounting": run.ledger,
        "params_by_part": params_by_part(run.dims),
        "flops_by_part": run.flops_by_part,
    }


def _derivation(run: Run) -> Derivation | None:
    begun = run.beginning
    if not isinstance(begun, Derived):
        return None
    tuning = run.config.science.tuning
    return Derivation(
        operation=begun.operation,
        settings=dict(begun.settings),
        flops_parents=run.flops_parents,
        teachers=tuple(teacher.run_id for teacher, _ in run.teachers),
        flops_teachers=run.flops_teachers,
        density=float(begun.settings["density"]) if "density" in begun.settings else 1.0,
        bits=_bits(run, begun),
        params_trained=run.params_trained if run.config.science.steps else 0,
        rank=tuning.rank if tuning.method == "low_rank" else None,
    )


def _bits(run: Run, begun: Derived) -> float:
    """Bits of a value of the layers' matrices: as it trains, or as its operation left them."""
    rounded = run.config.science.optimizer.rounded
    if rounded == "none" and run.config.science.steps == 0 and "bits" in begun.settings:
        return float(begun.settings["bits"])
    return BITS[rounded]


def _measured(
    job: Job, mixture: Mixture, outcome: Outcome, log: MetricsLog, joules: float | None
) -> Measured:
    science = job.run.config.science
    per_byte = outcome.loss / mixture.bytes_per_token("valid")
    seconds = log.seconds
    return Measured(
        loss=finite(outcome.loss),
        loss_per_byte=finite(per_byte),
        bits_per_byte=finite(per_byte / math.log(2)),
        train_loss=finite(log.train_loss),
        steps=science.steps,
        steps_trained=log.tokens // science.batch.batch_tokens,
        tokens_trained=log.tokens,
        epochs=mixture.epochs(science),
        batch_tokens=science.batch.batch_tokens,
        wall_seconds=seconds,
        first_dispatch_seconds=finite(log.first_dispatch_seconds),
        tokens_per_second=log.tokens / seconds,
        energy_joules=None if joules is None else joules / outcome.members,
        tokens_by_source=mixture.tokens_by_source(science),
        epochs_by_source=mixture.epochs_by_source(science),
        repeats_by_source=mixture.repeats_by_source(science),
        unique_by_source=mixture.unique_by_source(science),
        weights_by_source=mixture.weights_by_source(science),
        losses_by_source=outcome.losses_by_source,
        bytes_per_token_by_source={
            name: corpus.bytes_per_token("valid") for name, corpus in mixture.texts.items()
        },
        entropy_by_source=mixture.entropy_by_source(),
        evaluations=outcome.evaluations,
    )


def _environment(members: int) -> Environment:
    import jax  # not at a failure: its writers must not take a device

    device = jax.devices()[0]
    return Environment(
        device=f"{device.platform} {device.device_kind}",
        devices=jax.device_count(),
        processes=jax.process_count(),
        members=members,
        **_software(),
    )


def _software() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "jax": metadata.version("jax"),
        "code": _code_version(),
    }


@cache
def _code_version() -> str:
    """The package's version, and the commit where the code runs from a checkout."""
    try:
        version = metadata.version("windtunnel")
    except metadata.PackageNotFoundError:
        version = "not installed"
    if not (Path(__file__).parents[2] / ".git").exists():
        return version
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return version
    return f"{version}+{commit}"
