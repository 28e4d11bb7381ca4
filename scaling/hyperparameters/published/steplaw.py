"""Step Law (Li et al. 2025): learning rate and batch from size and tokens."""

from __future__ import annotations

from scaling.hyperparameters.law import Batch, Confidence, Experts, HyperparameterLaw, Power
from scaling.laws._law import Convention

_CELLS = {"params_nonembedding": (2.1e8, 1.08e9), "tokens": (4e9, 1e11)}

STEPLAW = HyperparameterLaw(
    name="steplaw2025",
    form="lr = 1.79 N^-0.713 D^0.307; batch = 0.58 D^0.571",
    rules={
        "lr": Power(
            1.79,
            {"params_nonembedding": -0.713, "tokens": 0.307},
            fitted_on=_CELLS,
            confidence=Confidence.QUOTED,
        ),
        "batch_tokens": Power(
            0.58, {"tokens": 0.571}, fitted_on=_CELLS, confidence=Confidence.QUOTED
        ),
    },
    batch=Batch.OWN,
    schedule="2000 steps of warm-up, cosine to a fixed least lr of 1e-5",
    convention=Convention(
        params="non-embedding parameters (params_nonembedding), layers * width * (4 width + 3 ffn)",
        tokens="training tokens; batch in tokens",
        loss="smoothed training loss, nats/token",
    ),
    recipe="a line through the runs within 0.25 % of the best of each cell, the mean of 1000 "
    "bootstraps",
    source="Li et al. 2025, arXiv 2503.04715",
    notes=(
        "the released table and recipe do not give these exponents (lr = 77.7 N^-0.766 D^0.197 "
        "there), though the rule costs 0.1 % on it",
        "of mixtures of experts the authors hold it to models of several sparsities, N all non-"
        "embedding parameters; these runs are not in the table read here",
    ),
    experts=Experts.TOTAL,
)
