"""Slurm, by submitit: each population is a task of a job array, followed by its records.

Jobs outlive the command that submitted them. Ctrl-C leaves them with Slurm, and the same command
follows them again, by the files in the study's folder::

    slurm/JOB.json    the runs of each array task
    slurm/JOB_*       its script, its pickled populations and results, and the logs: submitit's
"""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from submitit import AutoExecutor
from submitit.core.utils import FailedJobError, FailedSubmissionError, JobPaths

from experiments.config.fields import from_text
from experiments.config.run import RunConfig
from experiments.devices.machine import Platform
from experiments.devices.slot import Slot
from experiments.launchers import Launcher, Site
from experiments.launchers._slurm_job import ArrayTask
from experiments.runs.job import Event, Population
from experiments.runs.watch import Follower
from experiments.training.populations.grouping import ALONE, Curve
from scaling.common.errors import UserError, nearest
from scaling.common.files import read_json, write_json

FOLDER = "slurm"
COMMANDS = ("sbatch", "srun", "squeue")  # of Slurm, on this machine
PLACES = 256  # without --workers; Slurm grants fewer
TIMEOUTS = 100  # time limits that an array task may reach; each time it continues
LOOK, ASK = 2.0, 30.0  # seconds between two looks at the records, and two questions to Slurm

# Resources of one array task, on one node, by submitit's names (GENERAL) and sbatch's
RESOURCES: Mapping[str, type] = {
    "timeout_min": int,
    "mem_gb": float,
    "cpus_per_task": int,
    "gpus_per_node": int,
    "partition": str,
    "account": str,
    "qos": str,
    "constraint": str,
    "gres": str,
    "gpus_per_task": int,
    "cpus_per_gpu": int,
    "mem_per_cpu": str,
    "mem_per_gpu": str,
    "nodelist": str,
    "exclude": str,
    "dependency": str,
    "comment": str,
    "mail_type": str,
    "mail_user": str,
    "signal_delay_s": int,  # before the time limit, to save in
}
GENERAL = ("timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node")
DEFAULTS = {"timeout_min": 60, "signal_delay_s": 90}


@dataclass(frozen=True)
class Slurm(Launcher):
    """Jobs of an array, `workers` at once, each with these resources."""

    workers: int
    resources: Mapping[str, Any]

    @property
    def places(self) -> int:
        return self.workers

    @property
    def platform(self) -> Platform:
        gpus = [name for name, value in self.resources.items() if "gpu" in f"{name}={value}"]
        return "accelerator" if gpus else "cpu"

    def slot(self, site: Site) -> Slot:
        return Slot(site.cache, log=None, kind="slurm")

    def measure(self, site: Site, wanted: Sequence[tuple[RunConfig, int]]) -> Sequence[Curve]:
        """Every run alone, unless execution.runs_per_program says more: other machines train."""
        return [ALONE for _ in wanted]

    def train(
        self, site: Site, populations: Sequence[Population], watch: Callable[[Event], None]
    ) -> bool:
        """See `Launcher.train`. An array task's error is raised when all have ended."""
        jobs = [job for population in populations for job in population]
        folder = site.folder / FOLDER
        follower = Follower(watch)
        follower.pass_over_failures(jobs)
        held = _held(folder)
        left = _Left(folder, {held[job.run.run_id] for job in jobs if job.run.run_id in held})
        if left.array_tasks:
            _tell(f"with Slurm since an earlier call, and followed: {left}")
        rest = [
            tuple(job for job in population if job.run.run_id not in held)
            for population in populations
        ]
        if new := [population for population in rest if population]:
            added = self._submit(site, new)
            left.array_tasks.update(added)
            _tell(f"with Slurm: {left}; logs in {folder}")
        try:
            while left.array_tasks:
                time.sleep(LOOK)
                left.look()
                follower.look(jobs)
        except KeyboardInterrupt:
            _tell(
                f"Slurm keeps {left}, and the same command follows it; "
                f"to stop it with checkpoints saved: scancel {' '.join(left.jobs)}"
            )
            return False
        if left.errors:
            raise UserError(left.errors[0])
        return True

    def _submit(self, site: Site, populations: Sequence[Population]) -> list[str]:
        """Submit and record the array tasks; their ids, in the populations' order."""
        folder, slot = site.folder / FOLDER, self.slot(site)
        executor = AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=TIMEOUTS)
        executor.update_parameters(
            name=site.folder.name,
            slurm_array_parallelism=self.places,
            slurm_additional_parameters={"requeue": True},
            **{
                name if name in GENERAL else f"slurm_{name}": value
                for name, value in self.resources.items()
            },
        )
        array_tasks = [
            ArrayTask(tuple(replace(job, folder=job.folder.absolute()) for job in population), slot)
            for population in populations
        ]
        try:
            ids = [job.job_id for job in executor.submit_array(array_tasks)]
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise UserError(str(error).splitlines()[-1]) from error
        runs = ([job.run.run_id for job in population] for population in populations)
        name = f"{ids[0].partition('_')[0]}.json"
        write_json(folder / name, Submitted(dict(zip(ids, runs, strict=True))))
        return ids


class Submitted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A submitted array on disk: the runs of each array task."""

    array_tasks: dict[str, list[str]]


@dataclass
class _Left:
    """The array tasks under way, and the errors of the ended ones."""

    folder: Path
    array_tasks: set[str]
    errors: list[str] = field(default_factory=list)
    _asked: float = field(default_factory=time.monotonic)
    _absent: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return f"job {', '.join(self.jobs)} ({len(self.array_tasks)} left)"

    @property
    def jobs(self) -> list[str]:
        return sorted({array_task.partition("_")[0] for array_task in self.array_tasks})

    def look(self) -> None:
        """Remove the jobs that have ended since the last look."""
        lost = self._lost()
        for array_task in sorted(self.array_tasks):
            paths = JobPaths(self.folder, array_task)
            if paths.result_pickle.exists():
                outcome, value = pickle.loads(paths.result_pickle.read_bytes())
                failed = f"job {array_task} failed; the end of {paths.stderr} says why"
                error = value if outcome == "success" else failed
            elif array_task in lost:
                error = f"job {array_task} was cancelled or killed; its log: {paths.stderr}"
            else:
                continue
            self.array_tasks.remove(array_task)
            if error is not None:
                self.errors.append(error)
                _tell(error)

    def _lost(self) -> set[str]:
        """Jobs absent from two answers of Slurm: a result may be late on a shared disk."""
        if time.monotonic() < self._asked + ASK:
            return set()
        self._asked = time.monotonic()
        queue = _queue()
        if queue is None:
            return set()
        lost, self._absent = self._absent - queue, self.array_tasks - queue
        return lost


def launcher(workers: int | None, resources: Mapping[str, str]) -> Slurm:
    """The launcher with these resources, checked before a job is submitted."""
    for command in COMMANDS:
        if shutil.which(command) is None:
            raise UserError(
                f"--launcher slurm: no {command} here; run it where the cluster takes jobs"
            )
    asked = {**DEFAULTS, **{name: _typed(name, text) for name, text in resources.items()}}
    delay = asked["signal_delay_s"]
    if 60 * asked["timeout_min"] <= delay:
        raise UserError(
            f"--resource timeout_min={asked['timeout_min']}: too short to be asked to save "
            f"{delay} s before its end (signal_delay_s)"
        )
    return Slurm(workers or PLACES, asked)


def _typed(name: str, text: str) -> Any:
    if name not in RESOURCES:
        raise UserError(f"--resource {name}: {nearest(name, RESOURCES)}")
    return from_text(f"--resource {name}", text, RESOURCES[name])


def _held(folder: Path) -> dict[str, str]:
    """The array task of each run that was submitted earlier and has not ended."""
    files = list(folder.glob("*.json"))
    if not files:
        return {}
    queue = _queue()
    if queue is None:
        raise UserError("squeue does not answer, and Slurm may have jobs of this study; try later")
    array_tasks = (read_json(file, Submitted).array_tasks for file in files)
    return {
        run_id: array_task
        for array in array_tasks
        for array_task, runs in array.items()
        if array_task in queue
        for run_id in runs
    }


def _queue() -> set[str] | None:
    """The user's waiting and running jobs and array tasks; None where Slurm does not answer."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return None if answer.returncode else set(answer.stdout.split())


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
