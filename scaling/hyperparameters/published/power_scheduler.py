"""Power scheduler (Shen et al. 2024): the learning rate of a step from the tokens seen so far."""

from __future__ import annotations

from scaling.hyperparameters.law import Batch, Confidence, HyperparameterLaw, Power
from scaling.laws._law import Convention

POWER_SCHEDULER = HyperparameterLaw(
    name="power_scheduler2024",
    form="lr(n) = min(0.02, 4 beta n^-0.51)",
    rules={
        "lr_mup": Power(
            4.0,
            {"batch_seqs": 1.0, "tokens_seen": -0.51},
            highest=0.02,
            confidence=Confidence.QUOTED,
        )
    },
    batch=Batch.VARIABLE,
    schedule="the law is the schedule: the lr after n tokens, before a short final decay",
    convention=Convention(
        params="not a variable, under muP",
        tokens="n = tokens_seen so far, beta = batch_seqs in sequences",
        loss="not a variable",
    ),
    recipe="lr swept over batch and tokens under WSD",
    source="Shen et al. 2024, arXiv 2408.13359; coefficient and cap as third-party code has them",
    notes=(
        "at n = D it is also the best constant lr of a WSD run of D tokens, by the same paper",
        "that beta counts sequences is inferred (in tokens the lr would exceed 10), and the "
        "coefficient then hides their length",
    ),
)
