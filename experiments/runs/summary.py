"""The two ends of a record: config.json before a run, summary.json after it."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from experiments import record
from experiments.config.fields import to_dict
from experiments.data import Mixture
from experiments.record import Status
from experiments.runs.branch_point import parent
from experiments.runs.job import Job
from experiments.runs.metrics_log import MetricsLog


def write_config(job: Job) -> None:
    """Write config.json, or check that the one that is there is of this version."""
    path = job.folder / record.CONFIG
    if path.exists():
        record.read_json(path)
    else:
        record.write_json(path, {**_identity(job), "accounting": job.run.ledger})


def write_summary(
    job: Job,
    mixture: Mixture,
    status: Status,
    *,
    diverged: int | None,
    message: str,
    loss: float,
    log: MetricsLog,
    members: int,
) -> None:
    """Write summary.json.

    Args:
        diverged: the step that showed it, and `message` says how; else None and "".
        loss: the final validation loss in nats per token, or NaN.
        members: how many runs its program trained at once.
    """
    science = job.run.config.science
    per_byte = loss / mixture.bytes_per_token("valid")
    seconds = log.seconds
    metrics = {
        **job.run.ledger,
        "loss": loss,
        "loss_per_byte": per_byte,
        "bits_per_byte": per_byte / math.log(2),
        "train_loss": log.train_loss,
        "steps": science.steps,
        "steps_trained": log.tokens // science.batch.batch_tokens,
        "tokens_trained": log.tokens,
        "epochs": mixture.epochs(science),
        "batch_tokens": science.batch.batch_tokens,
        "wall_seconds": seconds,
        "first_dispatch_seconds": log.first_dispatch_seconds,
        "tokens_per_second": log.tokens / seconds,
    }
    record.write_json(
        job.folder / record.SUMMARY,
        {
            **_identity(job),
            "status": status,
            "message": message,
            "diverged_step": diverged,
            "metrics": {name: value for name, value in metrics.items() if math.isfinite(value)},
            "tokens_by_source": mixture.tokens_by_source(science),
            "epochs_by_source": mixture.epochs_by_source(science),
            "environment": {**_environment(), "members": members},
            "prediction_sha256": job.prediction_sha256,
        },
    )


def write_failure(job: Job, message: str) -> None:
    """Write the summary of a run that the machine ended: its status and the first line of why."""
    record.write_json(
        job.folder / record.SUMMARY,
        {
            **_identity(job),
            "status": Status.FAILED,
            "message": message.splitlines()[0] if message else "",
            "diverged_step": None,
            "metrics": job.run.ledger,
            "environment": _software(),
            "prediction_sha256": job.prediction_sha256,
        },
    )


def _identity(job: Job) -> dict[str, Any]:
    return {
        "run_id": job.run.run_id,
        "study": job.study,
        "part": job.run.part,
        "rung": job.run.rung,
        "science": to_dict(job.run.config.science),
        "execution": to_dict(job.run.config.execution),
        "laws": {given.path: given.record() for given in job.run.given},
        "parent": parent(job),
    }


def _environment() -> dict[str, Any]:
    import jax  # not for a failure, which is written by processes that must not take a device

    device = jax.devices()[0]
    return {
        "device": f"{device.platform} {device.device_kind}",
        "devices": jax.device_count(),
        "processes": jax.process_count(),
        **_software(),
    }


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
