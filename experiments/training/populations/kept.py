"""Kept checkpoints of runs, evaluated on tasks: one pass for each, and rows beside the run.

A task whose rows at a step are of its present version is not asked again, so an interrupted call
continues, and a new task asks nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments import record
from experiments.config.run import RunConfig
from experiments.data import Corpora
from experiments.evaluation import task
from experiments.evaluation.asking import Answered, Asked, Drawing, answer
from experiments.evaluation.overlap import overlapping
from experiments.record import CHECKPOINTS, CONFIG, PREDICTION, RunRecord, TaskHeader
from experiments.runs import checkpoint
from experiments.training.exports import single_file
from experiments.training.hypers import hypers
from experiments.training.populations.programs import programs
from experiments.training.populations.trained import Trained
from experiments.training.step import fresh_state, recipe
from scaling.common.errors import UserError
from scaling.common.files import output_file

Which = Literal["all", "last"] | int
Overlap = Literal["skip", "count"]
WINDOWS = 64  # scored at a time, or a microbatch where that is more


@dataclass(frozen=True)
class Told:
    """The evaluation of one task at one checkpoint."""

    run_id: str
    step: int
    task: str
    found: Answered
    overlap: int | None


def runs_of(folder: Path) -> list[Path]:
    """The runs in a folder of a study, or the one run. Raises a UserError where there is none."""
    if (folder / CONFIG).is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
    if not found:
        raise UserError(f"{folder}: no run here; give the folder of a study, or runs/STUDY/RUN")
    return found


def steps_of(run: Path, which: Which) -> list[int]:
    """The steps of the kept checkpoints that are asked for."""
    kept = checkpoint.kept(run / CHECKPOINTS)
    if which == "all":
        return kept
    return kept[-1:] if which == "last" else [step for step in kept if step == which]


def evaluate_kept(
    folder: Path, tasks: Sequence[Asked], which: Which, drawing: Drawing, corpora: Corpora,
    overlap: Overlap = "skip", say: Callable[[str], None] = lambda _: None,
) -> Iterator[Told]:  # fmt: skip
    """Evaluate the tasks at the checkpoints of every run that lack them.

    Raises:
        UserError: no run here, no kept checkpoint of any run, or rows cannot be written.
    """
    asked_for = {run: steps_of(run, which) for run in runs_of(folder)}
    if not any(asked_for.values()):
        other = "" if which == "last" else ", or give --checkpoints last"
        raise UserError(
            f"{folder}: no kept checkpoint ({which}); train with execution.permanent{other}"
        )
    missing = {
        (run, step): [each for each in tasks if not _is_done(run, each, step, drawing)]
        for run, steps in asked_for.items()
        for step in steps
    }
    for (run, step), left in missing.items():
        for each in left:
            output_file(str(record.item_file(run, each.name, step)))
    for (run, step), left in missing.items():
        if left:
            say(f"{run.name} at step {step}: {', '.join(each.name for each in left)}")
            yield from _at(run, step, left, drawing, corpora, overlap)


def _is_done(run: Path, asked: Asked, step: int, drawing: Drawing) -> bool:
    header = record.read_header(record.item_file(run, asked.name, step))
    wanted = asked.version, "" if asked.items is None else str(drawing)
    return header is not None and (header.version, header.drawn) == wanted


def _at(
    run: Path, step: int, tasks: Sequence[Asked], drawing: Drawing, corpora: Corpora,
    overlap: Overlap,
) -> Iterator[Told]:  # fmt: skip
    exported = single_file.trained(run, step)
    config, science = exported.config, exported.config.science
    model = _model(config, exported.arrays, run)
    learned = science.model.positions == "learned"
    context = science.batch.seq_len if learned else 0
    items = [each for each in tasks if each.items is not None]
    found = answer(model, items, exported.tokenizer, science.batch.seq_len, drawing, context)
    needs_text = len(items) < len(tasks) or overlap == "count"
    mixture = corpora.mixture(science.data) if needs_text else None
    for each in tasks:
        own, seen = Answered((), {}, 0, ()), None
        if each.items is not None:
            own = found[each.name]
            if overlap == "count" and mixture is not None:
                seen = len(overlapping(each.items, mixture))
        elif mixture is not None:
            numbers = task.task(each.name)(model, mixture, science).metrics
            own = Answered((), numbers, 0, ())
        header = TaskHeader(
            run_id=record.read(run, RunRecord).run_id,
            task=each.name,
            step=step,
            version=each.version,
            drawn="" if each.items is None else str(drawing),
            items=len(own.results),
            cut=own.cut,
            faults=own.faults,
            overlap=seen,
            prediction_sha256=_digest(run.parent / PREDICTION),
        )
        record.write_items(run, header, own.results, {} if own.results else own.metrics)
        yield Told(header.run_id, step, each.name, own, seen)


def _model(config: RunConfig, arrays: single_file.Arrays, run: Path) -> Trained:
    made, science = recipe(config), config.science
    params = single_file.from_arrays(made, arrays, str(run))
    state = fresh_state(made, hypers(science), params)
    return Trained(programs(made), state, max(WINDOWS, made.microbatch), made)


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
