"""Leak of a router in training: the loss of causal routes less that of routes as in training.

A router that balances its load over a sequence, or whose experts choose tokens, sees later tokens
in training, and teacher forcing flatters it. Both losses are of the same parameters and of the
validation windows of the run, in nats per token. Of a router that draws its choices the leak is
below 0, by the price of drawing.
"""

from __future__ import annotations

from experiments import data
from experiments.config.run import Science
from experiments.evaluation.task import Evaluation, Model


def evaluate(model: Model, mixture: data.Mixture, science: Science) -> Evaluation:
    windows = data.validation_windows(
        mixture.valid, science.evaluation.windows, science.batch.seq_len
    )
    return Evaluation({"loss": model.loss(windows) - model.loss(windows, "training")})
