"""Bjorck et al. 2024: how a tuned learning rate falls with the token horizon."""

from __future__ import annotations

from scaling.hyperparameters.law import Batch, Confidence, HyperparameterLaw, Power
from scaling.laws._law import Convention

BJORCK = HyperparameterLaw(
    name="bjorck2024",
    form="lr = lr_tuned (D / D_tuned)^-0.32 at fixed size and batch",
    rules={
        "lr": Power(
            1.0,
            {"tuned_lr": 1.0, "tokens": -0.32, "tuned_tokens": 0.32},
            confidence=Confidence.QUOTED,
        )
    },
    batch=Batch.FIXED,
    schedule="not recorded here",
    convention=Convention(
        params="held fixed: that of the tuned run",
        tokens="training tokens",
        loss="not a variable",
    ),
    recipe="lr sweeps over token horizons; no absolute value, a tuned one is moved",
    source="Bjorck et al. 2024",
    notes=("Step Law has the lr rise with D, for its batch rises too",),
)
