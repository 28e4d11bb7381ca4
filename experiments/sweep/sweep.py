"""The sweep: trains every unfinished run of a study, by any launcher.

Finished runs are skipped by identity; the same command continues an interrupted sweep.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from experiments import data, record
from experiments.launchers import Launcher, Site
from experiments.plan.branching import check_continued
from experiments.plan.notes import same_science
from experiments.plan.run import Derived, Run
from experiments.plan.study import Study
from experiments.record import FINISHED, Status, StudyPart, UnreadableError
from experiments.runs.branch_point import is_ready
from experiments.runs.claim import is_claimed, seems_live
from experiments.runs.job import Event, Job, Population
from experiments.runs.quarantine import damage, move_aside
from experiments.runs.watch import Follower
from experiments.sweep import generations
from experiments.sweep.generations import fail_orphans, line_of
from experiments.sweep.preflight import (
    changed_text,
    check_budgets,
    check_data,
    check_folder,
    check_layouts,
    check_programs,
    check_tasks,
    check_writable,
    plan_of,
)
from experiments.training.populations import grouping
from scaling.common.errors import UserError
from scaling.common.files import writing

LOOK_AGAIN = 2.0  # seconds between two looks at other workers' runs


class Standing(StrEnum):
    """State of a run, by its record and, if it has not ended, by its claim."""

    DONE = "done"
    RUNNING = "running"
    FAILED = "failed"
    DIVERGED = "diverged"
    STALE = "stale"  # begun and not claimed: interrupted or killed; rerun to continue
    DAMAGED = "damaged"  # rerun to move the damage aside and to mend the run
    PLANNED = "planned"  # not begun

    @property
    def is_finished(self) -> bool:
        """True where nothing is left to train."""
        return self in (Standing.DONE, Standing.DIVERGED)


STANDINGS = {
    Status.COMPLETED: Standing.DONE,
    Status.DIVERGED: Standing.DIVERGED,
    Status.FAILED: Standing.FAILED,
    Status.STARTED: Standing.STALE,
    Status.MISSING: Standing.PLANNED,
}


@dataclass(frozen=True)
class Sweep:
    """A study bound to its corpora and a folder: every run has its identity and its place."""

    study: Study
    corpora: data.Corpora
    folder: Path
    cache: Path

    @property
    def site(self) -> Site:
        return Site(self.cache.absolute(), self.folder.absolute())

    def job(self, run: Run) -> Job:
        digest = _prediction(self.folder, run) if run.part is StudyPart.HELD_OUT else None
        return Job(run, self.study.name, self.folder / run.run_id, digest)

    def status(self, run: Run) -> Status:
        """State of a run, by its record; FAILED where this process may not read that."""
        try:
            return record.run_status(self.folder / run.run_id)
        except UnreadableError:
            return Status.FAILED

    def barred(self, run: Run) -> str:
        """The reason why this process may not read the record of a run; else nothing."""
        try:
            record.run_status(self.folder / run.run_id)
        except UnreadableError as error:
            return str(error)
        return ""

    def closed(self, run: Run) -> str:
        """The reason why this process may not read a run, or continue it; else nothing."""
        if (reason := self.barred(run)) or self.status(run) in FINISHED:
            return reason
        folder = self.folder / run.run_id
        if not record.may_hold(folder.resolve(), run.run_id):
            return f"{folder}: a link to the folder of another run: remove it"
        try:
            check_writable(folder)
        except UserError as error:
            return str(error)
        return ""

    def standing(self, run: Run) -> Standing:
        """The state of a run, by its record and its claim."""
        folder = self.folder / run.run_id
        try:
            status = record.run_status(folder)
        except UnreadableError:
            return Standing.FAILED
        if status not in FINISHED and seems_live(folder):
            return Standing.RUNNING
        damaged = status is Status.STARTED and self.damage(run)
        return Standing.DAMAGED if damaged else STANDINGS[status]

    def standings(self) -> dict[str, Standing]:
        """The state of each run by its id; one reading of each record."""
        return {run.run_id: self.standing(run) for run in self.study.runs}

    def damage(self, run: Run) -> str:
        """Damaged files of a run that has no sound end, in words."""
        with suppress(UnreadableError):  # which is no damage
            return ", ".join(damage(self.folder / run.run_id).values())
        return ""

    def runs(self, part: StudyPart) -> tuple[Run, ...]:
        """The runs of a part, and the parents that must be trained before them."""
        planned = {run.run_id: run for run in self.study.runs}
        waiting, wanted = list(self.study.part(part)), set()
        while waiting:
            run = waiting.pop()
            wanted.add(run.run_id)
            if self.status(run) in FINISHED or self.barred(run):
                continue
            if not is_ready(self.job(run)):
                waiting += [planned[parent.run_id] for parent in run.beginning.parents]
        return tuple(run for run in self.study.runs if run.run_id in wanted)

    def remarks(self, standings: Mapping[str, Standing]) -> list[str]:
        """Lines on damaged and failed runs, and on text that has changed since the plan."""
        plan = plan_of(self.folder)
        changed = "" if plan is None else changed_text(plan, self.corpora.opened())
        left = [run for run in self.study.runs if not standings[run.run_id].is_finished]
        damaged = [run for run in left if standings[run.run_id] is Standing.DAMAGED]
        lines = [f"{run.run_id}: {self.damage(run)}: `run` mends it" for run in damaged]
        failures = [said for run in left if (said := self.failure(run))]
        return [*lines, *failures, *([changed] if changed else [])]

    def failure(self, run: Run) -> str:
        """The reason of a failed run, or of one that waits for a failed parent; else nothing."""
        folder = self.folder / run.run_id
        if reason := self.barred(run):
            return reason
        if self.status(run) is Status.FAILED:
            return f"{folder / record.SUMMARY}: {record.read(folder, record.RunSummary).message}"
        if self.status(run) in FINISHED or is_ready(Job(run, self.study.name, folder)):
            return ""
        for each in self._ancestors(run):
            if (status := self.status(each)) is Status.FAILED:
                return f"{folder}: {line_of(each, status)}"
        return ""

    def _ancestors(self, run: Run) -> Iterator[Run]:
        for parent in run.beginning.parents:
            yield parent
            yield from self._ancestors(parent)


def bind(
    study: Study, folder: Path, cache: Path, tell: Callable[[str], None] = lambda text: None
) -> Sweep:
    """Prepare the corpora, fix every run's identity by their fingerprints, and check the runs.

    Raises:
        UserError: two runs alike, a corpus too small or missing, a layout that does not divide a
            run.
    """
    corpora = data.Corpora(cache, tell, memory_limit=0)  # counted here, read by workers
    bound = study.with_fingerprints(lambda config: corpora.mixture(config).fingerprint)
    check_data(bound.runs, corpora)
    check_layouts(bound.runs)
    if alike := same_science(bound.runs):
        raise UserError(alike)
    _check_beginnings(bound.runs)
    return Sweep(bound, corpora, folder, cache)


def _check_beginnings(runs: Sequence[Run]) -> None:
    """Check that every parent is a run of the study, and every continuation valid.

    Raises:
        UserError: a parent is missing, or the result would not be that of a fresh run.
    """
    planned = {run.run_id: run for run in runs}
    for run in runs:
        for parent in run.beginning.parents:
            if parent.run_id not in planned:
                raise UserError(
                    f"run {run.run_id} begins from run {parent.run_id}, which is not a run of the "
                    "study; add it"
                )
        if isinstance(run.beginning, Derived) or run.config.science.steps == 0:
            from experiments.training import derived  # it imports JAX

            derived.check(run)
        if run.origin:
            parent = planned[run.origin.parent.run_id]
            check_continued(run.config, replace(run.origin, parent=parent))


def write_study(sweep: Sweep) -> None:
    """Write study.json: the plan that analysis reads, with every run's N, D and C."""
    study = sweep.study
    plan = record.StudyPlan(
        name=study.name,
        question=study.question,
        law=study.law,
        reading=study.reading,
        loss=study.loss,
        params=study.params,
        tokens=study.tokens,
        published=study.published,
        settings=study.settings,
        file=study.file,
        corpora={one.fingerprint: one.card() for one in sweep.corpora.opened()},
        runs=tuple(
            record.PlannedRun(
                run_id=run.run_id,
                part=run.part,
                rung=run.rung,
                label=run.label,
                accounting=run.ledger,
            )
            for run in study.runs
        ),
    )
    record.write(sweep.folder, plan)


def write_plan(sweep: Sweep) -> None:
    """Write study.json alone, into a folder that holds nothing else or runs of this study.

    Raises:
        UserError: the folder holds another study, or cannot be written.
    """
    check_folder(sweep.folder, sweep.study, [], sweep.corpora.opened())
    with writing(sweep.folder, record.ELSEWHERE):
        sweep.folder.mkdir(parents=True, exist_ok=True)
    _damaged_plan_aside(sweep.folder)
    write_study(sweep)


def ready(sweep: Sweep, part: StudyPart, launcher: Launcher) -> list[Job]:
    """The jobs left of a part, after every check that needs no device; makes the folder.

    Without the runs that are closed to this process.

    Raises:
        UserError: a run would fail; nothing is written.
    """
    left = [run for run in sweep.runs(part) if sweep.status(run) not in FINISHED]
    missing = [run for run in left if not sweep.closed(run)]
    jobs = [sweep.job(run) for run in missing]
    check_budgets(sweep.study.runs, sweep.corpora)
    check_programs(missing, launcher.platform)
    check_tasks(missing, sweep.corpora)
    check_folder(sweep.folder, sweep.study, missing, sweep.corpora.opened())
    with writing(sweep.folder, record.ELSEWHERE):
        sweep.folder.mkdir(parents=True, exist_ok=True)
    return jobs


def run_sweep(
    sweep: Sweep,
    part: StudyPart,
    launcher: Launcher,
    watch: Callable[[Event], None] = lambda event: None,
) -> None:
    """Train the missing runs of one part of the study."""
    train(sweep, ready(sweep, part, launcher), launcher, watch)


def train(
    sweep: Sweep, jobs: Sequence[Job], launcher: Launcher, watch: Callable[[Event], None]
) -> None:
    """Train the jobs that `ready` gave, those with the most compute first.

    Parents come before their children, whatever their part. Afterwards `Sweep.status` gives the
    state of each run.

    On SIGINT or SIGTERM every run under way saves a checkpoint and this returns early. A run's own
    error ends it as failed and no other run; the next call retries it. The sweep waits for runs
    that another sweep has claimed, and takes them over if that sweep dies.
    """
    for note in _notes(sweep) if sweep.study.runs else ():
        watch(Event(sweep.study.runs[0].run_id, Status.STARTED, note=note))
    write_study(sweep)
    others, tried = Follower(watch), set[str]()
    retried = {job.run.run_id for job in jobs if not is_ready(job)}  # after an earlier failure
    while jobs := fail_orphans(jobs, sweep.status, watch):
        free = [job for job in jobs if is_ready(job) and not is_claimed(job.folder)]
        if not free:
            others.wait(jobs)
            time.sleep(LOOK_AGAIN)
            others.look(jobs)
        else:
            tried |= {job.run.run_id for job in free}
            populations = _populations(free, launcher, sweep.site, watch)
            if not launcher.train(sweep.site, populations, watch):
                return
        jobs = _left(sweep, jobs, retried - tried)
        generations.free(sweep.folder, sweep.study.runs, sweep.status)


def _notes(sweep: Sweep) -> Iterator[str]:
    """Lines on the plan of earlier calls: text that has changed, or a damaged plan moved aside."""
    folder, plan = sweep.folder, plan_of(sweep.folder)
    if plan is not None and (changed := changed_text(plan, sweep.corpora.opened())):
        yield f"{folder}: {changed}: runs on it are trained anew"
    if aside := _damaged_plan_aside(folder):
        yield f"{folder}: {record.STUDY} is damaged: moved to {aside.name}, and written anew"


def _damaged_plan_aside(folder: Path) -> Path | None:
    """The quarantine of a plan that cannot be read, once it lies there."""
    if plan_of(folder) is not None or not (folder / record.STUDY).exists():
        return None
    return move_aside(folder, folder / record.STUDY)


def _left(sweep: Sweep, jobs: Sequence[Job], retried: Collection[str]) -> list[Job]:
    """The jobs that have not ended, or failed in an earlier call, and whose parents may come."""

    def is_left(job: Job) -> bool:
        status = sweep.status(job.run)
        again = status is Status.FAILED and job.run.run_id in retried
        return again or status in (Status.STARTED, Status.MISSING)

    left = [job for job in jobs if is_left(job)]
    coming = {job.run.run_id for job in left}

    def waits(job: Job) -> bool:
        parents = job.run.beginning.parents
        return any(p.run_id in coming or sweep.status(p) is Status.FAILED for p in parents)

    return [job for job in left if is_ready(job) or waits(job)]


def _populations(
    jobs: Sequence[Job], launcher: Launcher, site: Site, watch: Callable[[Event], None]
) -> list[Population]:
    """The jobs in populations, those with the most compute first."""
    places, groups = min(launcher.places, len(jobs)), grouping.alike(jobs)
    wanted = grouping.to_measure(groups, places, launcher.platform)
    for kind, _ in wanted:
        watch(Event(groups[kind][0].run.run_id, "compiling"))
    curves = launcher.measure(site, wanted) if wanted else []
    known = {kind: curve for (kind, _), curve in zip(wanted, curves, strict=True)}
    return grouping.all_populations(groups, known, places)


def _prediction(folder: Path, run: Run) -> str:
    """The digest of the registered prediction; a held-out run is not trained without one."""
    path = folder / record.PREDICTION
    remedy = f"write it first: windtunnel predict {folder}"
    if not path.exists():
        raise UserError(f"{path}: no prediction for the held-out run {run.run_id}; {remedy}")
    if run.run_id not in record.read(folder, record.PredictionRecord).run_ids:
        raise UserError(f"{path}: it does not predict the held-out run {run.run_id}; {remedy}")
    return hashlib.sha256(path.read_bytes()).hexdigest()
