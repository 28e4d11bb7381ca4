"""Mean loss on the fixed validation windows of a run, in nats per token."""

from __future__ import annotations

from experiments import data
from experiments.config.run import Science
from experiments.evaluation.task import Evaluation, Model


def evaluate(model: Model, mixture: data.Mixture, science: Science) -> Evaluation:
    windows = data.validation_windows(
        mixture.valid, science.evaluation.windows, science.batch.seq_len
    )
    return Evaluation({"loss": model.loss(windows)})
