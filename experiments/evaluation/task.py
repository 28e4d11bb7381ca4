"""Tasks: evaluations of a model, one file each in `tasks/`.

A task's file defines one of

    def items() -> Iterable[Item]
    def evaluate(model: Model, mixture: data.Mixture, science: Science) -> Evaluation

The record has the metrics of task `cloze` as ``cloze.accuracy``, and its items as lines of
evaluations/cloze.jsonl. The validation loss is the simplest task: one metric, and no items.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType

from experiments import data
from experiments.config.run import Science
from experiments.evaluation.choices import score
from experiments.evaluation.items import Item
from experiments.evaluation.model import Evaluation, Model, Uniform
from scaling.common import plugins
from scaling.common.errors import UserError

VALIDATION = "validation"  # its loss is the loss of the run
PACKAGE, KIND, ITEMS = "experiments.evaluation.tasks", "evaluation.tasks", "items"


Task = Callable[[Model, data.Mixture, Science], Evaluation]
Evaluations = Mapping[str, Evaluation]  # by the name of the task


def task(name: str) -> Task:
    """The task of this name; an unknown one is a UserError with the nearest."""
    file = _file(name)
    if hasattr(file, ITEMS):
        return scored(file.items)
    found: Task = plugins.find(PACKAGE, name, KIND, "evaluate")
    return found


def items(name: str) -> Iterable[Item] | None:
    """The items of a task; None of a task that has none."""
    file = _file(name)
    found: Iterable[Item] | None = file.items() if hasattr(file, ITEMS) else None
    return found


def names() -> tuple[str, ...]:
    """The tasks known here."""
    return plugins.names(PACKAGE)


def scored(made: Callable[[], Iterable[Item]]) -> Task:
    """The task that scores these items by likelihood."""

    def evaluate(model: Model, mixture: data.Mixture, science: Science) -> Evaluation:
        T = science.batch.seq_len
        context = T if science.model.positions == "learned" else 0
        return score(model, tuple(made()), mixture.tokenizer, T, context)

    return evaluate


def _file(name: str) -> ModuleType:
    return plugins.load(PACKAGE, name, KIND)


def rehearse(name: str, mixture: data.Mixture, science: Science) -> None:
    """Evaluate a task on the uniform model, so that its faults show before training.

    Raises:
        UserError: the task is unknown, an item of it is not valid, or its code fails.
    """
    evaluate = task(name)
    try:
        numbers({name: evaluate(Uniform(mixture.vocab_size), mixture, science)})
    except UserError as error:
        raise UserError(f"evaluation.tasks={name}: {error}") from error
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise UserError(
            f"evaluation.tasks={name}: {at.filename}:{at.lineno}: {what}; mend the task"
        ) from error


def numbers(evaluations: Evaluations) -> dict[str, float]:
    """The metrics of every task but validation, by name: ``cloze.accuracy``."""
    return {
        f"{task}.{name}": float(value)
        for task, found in evaluations.items()
        if task != VALIDATION
        for name, value in found.metrics.items()
    }


def losses_by_source(evaluations: Evaluations) -> dict[str, float]:
    """The validation loss on each text of a run on several, by its name."""
    found = evaluations[VALIDATION].metrics
    return {name.removeprefix("loss."): loss for name, loss in found.items() if name != "loss"}


def evaluate(
    tasks: Iterable[str], model: Model, mixture: data.Mixture, science: Science
) -> Evaluations:
    """Evaluate the model on every task, validation first; a loss that is not finite ends it."""
    found = {VALIDATION: task(VALIDATION)(model, mixture, science)}
    if math.isfinite(found[VALIDATION].metrics["loss"]):
        others = dict.fromkeys(name for name in tasks if name != VALIDATION)
        found |= {name: task(name)(model, mixture, science) for name in others}
    return found
