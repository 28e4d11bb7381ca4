"""Zhang et al. 2024: the critical batch from tokens."""

from __future__ import annotations

from scaling.hyperparameters.law import Batch, Confidence, HyperparameterLaw, Power
from scaling.laws._law import Convention
from scaling.laws.critical_batch import critical_batch_of_size

_SEQ_LEN, _RATIO = 512, 20  # tokens in a sequence; tokens per parameter of the fitted runs
_SIZE = critical_batch_of_size.constants("zhang2024").values

CRITICAL_BATCH_SIZE = HyperparameterLaw(
    name="zhang2024",
    form="critical batch = 512 * 22.9 (D / 1e6)^0.468",
    rules={
        "batch_critical": Power(
            _SEQ_LEN * _SIZE["c"] * _RATIO ** -_SIZE["p"],
            {"tokens": _SIZE["p"]},
            fitted_on={"tokens": (_RATIO * 8.5e7, _RATIO * 1.2e9)},
            confidence=Confidence.PRIMARY,
        )
    },
    batch=Batch.NONE,
    schedule="constant, with an average of the weights",
    convention=Convention(
        params="not a variable",
        tokens="training tokens; batch in tokens, from sequences of 512",
        loss="a target in nats/token on C4 for each size",
    ),
    recipe="printed as 93.20 N^0.468 sequences, N in millions, from runs of D = 20 N; put in D, "
    "which the paper finds it to follow; 20 % more steps than perfect scaling from 256 sequences",
    source="Zhang et al. 2024, arXiv 2410.21676; hlzhang109/critical-batch-size",
)
