"""AdamW's timescale and the two laws that rest on it: weight decay, and batch from tokens.

    tau = B / (eta lambda D)

is the averaging time of AdamW as a share of the run, with weight decay that the learning rate
multiplies. Wang & Aitchison 2024 keep it constant; Bergsma et al. 2025 (Power Lines) find that the
best one falls with tokens per parameter.
"""

from __future__ import annotations

from scaling.hyperparameters.law import Batch, Confidence, HyperparameterLaw, Power
from scaling.laws._law import Convention

# tau = 0.21 at 20 tokens per parameter; the exponent is the middle of (-0.529, -0.507), 10 to 90 %
_TIMESCALE, _RATIO, _EXPONENT = 0.21, 20.0, -0.518

POWER_LINES = HyperparameterLaw(
    name="power_lines2025",
    form="weight_decay = B / (lr D tau), tau = 0.21 (TPP / 20)^-0.518; batch = 62.7 D^0.383",
    rules={
        "batch_tokens": Power(
            0.0306 * 2048,
            {"tokens": 0.383},  # the exponent alone was checked
            confidence=Confidence.RECALLED,
        ),
        "weight_decay": Power(
            _RATIO**_EXPONENT / _TIMESCALE,
            {"batch_tokens": 1.0, "lr": -1.0, "tokens": -1.0, "tokens_per_param": -_EXPONENT},
            confidence=Confidence.QUOTED,
        ),
    },
    batch=Batch.VARIABLE,
    schedule="not recorded here",
    convention=Convention(
        params="TPP = D / params_total",
        tokens="training tokens; batch in tokens, from sequences of 2048",
        loss="not a variable",
    ),
    recipe="111M to 3.3B parameters under muP; tau = 0.21 is that of 610M at 20 tokens per "
    "parameter, for batches of 63 to 2016 sequences",
    source="Bergsma et al. 2025, arXiv 2505.13738; exponent of the batch as nanochat quotes it",
)

ADAMW_TIMESCALE = HyperparameterLaw(
    name="adamw_timescale2024",
    form="B / (lr weight_decay D) as in the tuned run",
    rules={
        "weight_decay": Power(
            1.0,
            {
                "tuned_weight_decay": 1.0,
                "batch_tokens": 1.0,
                "tuned_batch_tokens": -1.0,
                "lr": -1.0,
                "tuned_lr": 1.0,
                "tokens": -1.0,
                "tuned_tokens": 1.0,
            },
            confidence=Confidence.QUOTED,
        )
    },
    batch=Batch.VARIABLE,
    schedule="not recorded here",
    convention=Convention(
        params="not a variable", tokens="training tokens; batch in tokens", loss="not a variable"
    ),
    recipe="the timescale in epochs held constant as data or model grow; a tuned value is moved",
    source="Wang & Aitchison 2024, arXiv 2405.13698",
)
