"""MiniCPM (Hu et al. 2024): batch from loss, and one base learning rate under its muP."""

from __future__ import annotations

from scaling.hyperparameters.law import Batch, Confidence, HyperparameterLaw, Power
from scaling.laws._law import Convention

MINICPM = HyperparameterLaw(
    name="minicpm2024",
    form="batch = 1.21e9 / L^6.24; lr = 0.01 for every size",
    rules={
        "lr_mup": Power(
            0.01, {}, fitted_on={"params_nonembedding": (4e7, 2.1e9)}, confidence=Confidence.PRIMARY
        ),
        "batch_tokens": Power(1.21e9, {"loss_c4": -6.24}, confidence=Confidence.PRIMARY),
    },
    batch=Batch.OWN,
    schedule="WSD",
    convention=Convention(
        params="no variable; batch fitted at 9M, 30M and 170M non-embedding parameters",
        tokens="batch in tokens",
        loss="nats/token on C4",
    ),
    recipe="parabolas through points of equal loss, their minima joined; the lr was swept at each "
    "size and did not move",
    source="Hu et al. 2024, arXiv 2404.06395",
)
