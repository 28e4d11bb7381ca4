"""Kaplan et al. 2020: a learning rate from size, and the critical batch from the loss."""

from __future__ import annotations

from scaling.hyperparameters.law import Batch, Confidence, HyperparameterLaw, LogLine, Power
from scaling.laws._law import Convention
from scaling.laws.critical_batch import critical_batch

_CRITICAL = critical_batch.constants("kaplan2020").values

KAPLAN = HyperparameterLaw(
    name="kaplan2020",
    form="lr = 0.003239 - 0.0001395 ln N; critical batch = 2e8 / L^(1/0.21)",
    rules={
        "lr": LogLine(0.003239, -0.0001395, "params_nonembedding", confidence=Confidence.RECALLED),
        "batch_critical": Power(
            _CRITICAL["B_star"],
            {"loss_webtext2": -1 / _CRITICAL["alpha_B"]},
            confidence=Confidence.QUOTED,
        ),
    },
    batch=Batch.FIXED,
    schedule="3000 steps of warm-up, cosine to 0",
    convention=Convention(
        params="non-embedding parameters (params_nonembedding)",
        tokens="batch in tokens; the lr at 512 sequences of 1024",
        loss="nats/token on WebText2",
    ),
    recipe="Adam, Adafactor above 1B parameters; the critical batch by steps and tokens to a loss",
    source="Kaplan et al. 2020, arXiv 2001.08361",
)
