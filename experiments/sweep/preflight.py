"""Checks before any work, which refuse every known failure."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments import data, record
from experiments.config.data import parts
from experiments.config.run import Science
from experiments.data.corpus import Corpus
from experiments.devices.machine import Platform
from experiments.devices.resolve import check
from experiments.evaluation.task import VALIDATION, rehearse
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPlan
from experiments.training.populations.grouping import signature
from scaling.common.errors import UserError

FLOAT32 = 4
PLATFORMS: Mapping[Platform, tuple[str, ...]] = {"cpu": ("cpu",), "accelerator": ("gpu", "tpu")}
RECORD_BYTES = 1_000_000


def check_data(runs: Sequence[Run], corpora: data.Corpora) -> None:
    """Check that each run's vocabulary is the tokenizer's, and its corpora have a window."""
    for run in runs:
        science = run.config.science
        mixture = corpora.mixture(science.data)
        check_vocabulary(science, mixture)
        mixture.train.targets_per_epoch(science.batch.seq_len)
        data.validation_share(mixture.valid, science.evaluation.windows, science.batch.seq_len)


def check_budgets(runs: Sequence[Run], corpora: data.Corpora) -> None:
    """Check that the corpora are large enough; a study is planned and looked at without."""
    sciences = (run.config.science for run in runs)
    asked = dict.fromkeys((s.data, s.seed, s.tokens, s.batch.seq_len) for s in sciences)
    for config, seed, tokens, seq_len in asked:
        data.check_budget(
            corpora.mixture(config).train,
            seed=seed,
            tokens=tokens,
            seq_len=seq_len,
            repeats=[part.repeats for part in parts(config)],
        )


def check_programs(runs: Sequence[Run], kind: Platform) -> None:
    """Check that each run's program suits the kind of device."""
    for run in runs:
        check(run.config, *PLATFORMS[kind])


def check_tasks(runs: Sequence[Run], corpora: data.Corpora) -> None:
    """Check each task of the runs, with all its items, on their data."""
    sciences = (run.config.science for run in runs)
    different = {
        (name, s.data, s.evaluation, s.batch.seq_len): s
        for s in sciences
        for name in s.evaluation.tasks
        if name != VALIDATION  # `check_data` counts its windows
    }
    for (name, *_), science in different.items():
        rehearse(name, corpora.mixture(science.data), science)


def check_vocabulary(science: Science, mixture: data.Mixture) -> None:
    """Raise a UserError unless the vocabulary is the tokenizer's, and so is a separator."""
    if mixture.vocab_size != science.model.vocab_size:
        raise UserError(
            f"model.vocab_size={science.model.vocab_size}, but the tokenizer has "
            f"{mixture.vocab_size}: set model.vocab_size={mixture.vocab_size}"
        )
    if science.model.separator not in (-1, mixture.tokenizer.separator):
        raise UserError(
            f"model.separator={science.model.separator}: the tokenizer ends documents with "
            f"{mixture.tokenizer.separator}; set model.separator={mixture.tokenizer.separator}"
        )


def check_layouts(runs: Sequence[Run]) -> None:
    """Check, without opening a device, that each layout divides its run's batch and weights.

    The process that opens the devices checks their number.
    """
    named = ("single", "auto")  # nothing to divide; chosen among those that divide
    shared = [run.config for run in runs if run.config.execution.layout.name not in named]
    if not shared:
        return  # without importing JAX
    from experiments.training.step import recipe
    from models.layout import of_weight

    for config in dict.fromkeys(map(signature, shared)):
        made = recipe(config, platform="cpu")
        for weight in made.table:
            of_weight(made.spec.layout, weight, "optimizer")


def fewer_windows(runs: Sequence[Run], corpora: data.Corpora) -> list[str]:
    """A line for each number of validation windows that the valid split does not have."""
    asked = dict.fromkeys(
        (science.data, science.evaluation.windows, science.batch.seq_len)
        for science in (run.config.science for run in runs)
    )
    found = [
        (wanted, seq_len, len(stores) * data.validation_share(stores, wanted, seq_len))
        for config, wanted, seq_len in asked
        for stores in [corpora.mixture(config).valid]
    ]
    return [
        f"evaluation.windows={wanted}: the valid split has {have} windows of "
        f"batch.seq_len={seq_len}, and each loss is of these"
        for wanted, seq_len, have in dict.fromkeys(found)
        if have < wanted
    ]


def check_folder(
    folder: Path, study: Study, missing: Sequence[Run], corpora: Iterable[Corpus] = ()
) -> None:
    """Check that the folder can be written, is of this study and version, and has enough space.

    A folder that does not exist is not made: a refused command leaves nothing behind. A damaged
    plan is not checked: the sweep moves it aside, and runs are known by their ids.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    check_writable(folder)
    if (plan := plan_of(folder)) is not None:
        _check_plan(folder, plan, study, changed_text(plan, corpora))
    for run in missing:
        with suppress(record.DamagedError):  # the worker that claims the run moves it aside
            if (folder / run.run_id / record.CONFIG).exists():
                record.read(folder / run.run_id, record.RunRecord)
    needed = sum(map(_bytes, missing))
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"{folder}: {free / 1e6:.0f} MB free, the runs need about {needed / 1e6:.0f} MB; "
            "free some space or choose another folder with --out"
        )


def check_writable(folder: Path) -> None:
    """Check that `folder` can be written, or made in the nearest one above it that exists."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise UserError(
            f"{folder}: cannot write there ({error.strerror}); choose another folder with --out"
        ) from error


def _bytes(run: Run) -> float:
    """The record, the checkpoints kept, and one being written."""
    execution = run.config.execution
    checkpoints = execution.keep + len(execution.permanent) + 1
    copies = 1 + run.config.science.state_copies
    return RECORD_BYTES + checkpoints * FLOAT32 * copies * run.ledger["params_total"]


def plan_of(folder: Path) -> StudyPlan | None:
    """The plan in a folder; None without one, or with a damaged one."""
    with suppress(record.DamagedError):
        if (folder / record.STUDY).exists():
            return record.read(folder, StudyPlan)
    return None


def changed_text(plan: StudyPlan, corpora: Iterable[Corpus]) -> str:
    """The corpora of a plan that are others now, in words: both fingerprints, and what differs."""
    now = {one.fingerprint: one.card() for one in corpora}
    gone = [mark for mark in plan.corpora if mark not in now]
    come = [mark for mark in now if mark not in plan.corpora]
    return "; ".join(
        f"the text of {now[new]['path']} has changed, corpus {old} -> {new} "
        f"({_differences(plan.corpora[old], now[new])})"
        for old, new in zip(gone, come, strict=False)  # in the order of the runs
    )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The facts of two corpora that differ, but for their names."""
    names = [name for name in now if name not in ("fingerprint", "path") and name in before]
    facts = [f"{n} {before[n]} -> {now[n]}" for n in names if before[n] != now[n]]
    return ", ".join(facts) or "other text of the same size"


def _check_plan(folder: Path, plan: StudyPlan, study: Study, changed: str) -> None:
    """Check that the folder is of this study: a plan may grow or lose runs, but keeps some."""
    if plan.name != study.name:
        raise UserError(
            f"{folder}: holds the study '{plan.name}'; choose another folder with --out"
        )
    planned, ours = {run.run_id for run in plan.runs}, {run.run_id for run in study.runs}
    if planned & ours:
        return
    before, now = dict(plan.settings), dict(study.settings)
    if changed:
        raise UserError(f"{folder}: {changed}; restore it, or choose another folder with --out")
    what = f"settings {before}, now {now}" if before != now else "the study file or its defaults"
    raise UserError(
        f"{folder}: holds '{study.name}' with other science ({what}); "
        "choose another folder with --out"
    )
