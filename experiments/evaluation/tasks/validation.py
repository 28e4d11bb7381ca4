"""Mean loss on the fixed validation windows of a run, in nats per token.

Of a run on several texts, the loss on each is `loss.<name>`, and the loss is their mean.
"""

from __future__ import annotations

import numpy as np

from experiments import data
from experiments.config.run import Science
from experiments.evaluation.task import Evaluation, Model


def evaluate(model: Model, mixture: data.Mixture, science: Science) -> Evaluation:
    windows = data.validation_windows(
        mixture.valid, science.evaluation.windows, science.batch.seq_len
    )
    texts = mixture.texts
    if len(texts) == 1:
        return Evaluation({"loss": model.loss(windows)})
    losses = [model.loss(part) for part in np.split(windows, len(texts))]
    own = {f"loss.{name}": loss for name, loss in zip(texts, losses, strict=True)}
    return Evaluation({"loss": float(np.mean(losses)), **own})
