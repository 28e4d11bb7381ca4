"""DeepSeek LLM (Bi et al. 2024): learning rate and batch from compute."""

from __future__ import annotations

from scaling.hyperparameters.law import Batch, Confidence, HyperparameterLaw, Power
from scaling.laws._law import Convention


def deepseek_flops_per_token(layers: float, width: float, seq_len: float) -> float:
    """M = 72 L d^2 + 12 L d T: training FLOPs per token without embeddings or head, attention
    included. DeepSeek's C is M times tokens. Source: Bi et al. 2024, arXiv 2401.02954."""
    return 72 * layers * width * width + 12 * layers * width * seq_len


_BUDGETS = {"flops_nonembedding": (1e17, 2e19)}

DEEPSEEK = HyperparameterLaw(
    name="deepseek2024",
    form="lr = 0.3118 C^-0.1250; batch = 0.2920 C^0.3271",
    rules={
        "lr": Power(
            0.3118,
            {"flops_nonembedding": -0.1250},
            fitted_on=_BUDGETS,
            confidence=Confidence.QUOTED,
        ),
        "batch_tokens": Power(
            0.2920,
            {"flops_nonembedding": 0.3271},
            fitted_on=_BUDGETS,
            confidence=Confidence.QUOTED,
        ),
    },
    batch=Batch.OWN,
    schedule="multi-step: the peak for 80 %, then 1/sqrt(10) and 1/10 of it for 10 % each",
    convention=Convention(
        params="not a variable: C = M D, M = deepseek_flops_per_token, not 6ND",
        tokens="training tokens; batch in tokens",
        loss="bits/byte",
    ),
    recipe="runs within 0.25 % of the best of each budget",
    source="Bi et al. 2024, arXiv 2401.02954",
)
