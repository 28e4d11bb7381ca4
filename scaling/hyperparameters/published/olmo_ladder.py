"""The rule of the OLMo model ladder: learning rate and batch from size alone."""

from __future__ import annotations

from scaling.hyperparameters.law import Batch, Confidence, HyperparameterLaw, Power
from scaling.laws._law import Convention

_SIZE = 1.08e8  # non-embedding parameters of the model that the rule is anchored at

OLMO_LADDER = HyperparameterLaw(
    name="olmo_ladder2024",
    form="lr = 0.0047 (N / 1.08e8)^(-1/3); batch = 2048 * 160 (N / 1.08e8)^(2/3)",
    rules={
        "lr": Power(
            0.0047 * _SIZE ** (1 / 3),
            {"params_nonembedding": -1 / 3},
            confidence=Confidence.PRIMARY,
        ),
        "batch_tokens": Power(
            2048 * 160 * _SIZE ** (-2 / 3),
            {"params_nonembedding": 2 / 3},
            confidence=Confidence.PRIMARY,
        ),
    },
    batch=Batch.OWN,
    schedule="cosine to 1/10 of the peak; the code halves the lr for WSD",
    convention=Convention(
        params="non-embedding parameters (params_nonembedding)",
        tokens="not a variable, D = 20 N and more; batch in tokens",
        loss="not a variable",
    ),
    recipe="the rule of the model ladder, in its code; its runs are of 190M to 3B parameters",
    source="Bhagia et al. 2024, arXiv 2412.04403; OLMo-core and OLMo-ladder",
    notes=(
        "for sequences of 2048: the code divides the lr by 4 at 4096, and the released runs have "
        "that quarter",
    ),
)
