"""Tasks: evaluations of a model, one file each in `tasks/`.

A task's file defines

    def evaluate(model: Model, mixture: data.Mixture, science: Science) -> Evaluation

The record has the metrics of task `cloze` as ``cloze.accuracy``, and its items as lines of
evaluations/cloze.jsonl. The validation loss is the simplest task: one metric, and no items.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments import data
from experiments.config.run import Science
from experiments.record import ItemResult
from models.config import Phase
from scaling.common import plugins
from scaling.common.errors import UserError

VALIDATION = "validation"  # its loss is the loss of the run


class Model(Protocol):
    """Parameters that can be scored, under any layout and on any device."""

    def loss(self, windows: NDArray[np.integer], phase: Phase = "evaluation") -> float:
        """Mean cross-entropy of [N, T+1] windows in nats per token.

        In the phase "training" a router may choose by later tokens.
        """
        ...

    def log_probabilities(
        self, windows: NDArray[np.integer], scored: NDArray[np.bool_]
    ) -> NDArray[np.floating]:
        """ln p of the scored tokens, summed over each window, in nats: [N, T+1], [N, T] -> [N].

        scored[n, t] counts the prediction of windows[n, t+1] from windows[n, :t+1].
        """
        ...


@dataclass(frozen=True)
class Evaluation:
    """The result of one task: numbers by name, and a row for each item."""

    metrics: Mapping[str, float]
    items: Sequence[ItemResult] = ()


Task = Callable[[Model, data.Mixture, Science], Evaluation]
Evaluations = Mapping[str, Evaluation]  # by the name of the task


def task(name: str) -> Task:
    """The task of this name; an unknown one is a UserError with the nearest."""
    found: Task = plugins.find("experiments.evaluation.tasks", name, "evaluation.tasks", "evaluate")
    return found


@dataclass(frozen=True)
class Uniform:
    """The model that gives each of `vocab` tokens the same probability."""

    vocab: int

    def loss(self, windows: NDArray[np.integer], phase: Phase = "evaluation") -> float:
        return math.log(self.vocab)

    def log_probabilities(
        self, windows: NDArray[np.integer], scored: NDArray[np.bool_]
    ) -> NDArray[np.floating]:
        return -math.log(self.vocab) * scored.sum(-1, dtype=np.float64)


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
