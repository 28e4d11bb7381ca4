"""Hyperparameter laws, and what they recommend for a run.

Each published law is a frozen record in a file of its own that carries what its constants count,
where they were fitted and by whom. `side_by_side` asks all of them about one run, `recommend` asks
one, and `rescale` moves a tuned value along one. A new law is one file here and its line below.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from scaling.common.errors import UserError, nearest
from scaling.hyperparameters.law import (
    QUANTITIES,
    RATES,
    Advice,
    Batch,
    Confidence,
    HyperparameterLaw,
    LogLine,
    Power,
    Range,
    Reach,
    farthest,
)
from scaling.hyperparameters.law_file import from_mapping, to_mapping
from scaling.hyperparameters.published.bjorck import BJORCK
from scaling.hyperparameters.published.critical_batch_size import CRITICAL_BATCH_SIZE
from scaling.hyperparameters.published.deepseek import DEEPSEEK, deepseek_flops_per_token
from scaling.hyperparameters.published.kaplan import KAPLAN
from scaling.hyperparameters.published.minicpm import MINICPM
from scaling.hyperparameters.published.olmo_ladder import OLMO_LADDER
from scaling.hyperparameters.published.power_lines import (
    ADAMW_TIMESCALE,
    POWER_LINES,
    adamw_timescale,
    weight_decay_at,
)
from scaling.hyperparameters.published.power_scheduler import POWER_SCHEDULER
from scaling.hyperparameters.published.steplaw import STEPLAW
from scaling.hyperparameters.recommendation import (
    Recommendation,
    Spread,
    own_batch,
    recommend,
    rescale,
    side_by_side,
    spread,
)

HYPERPARAMETER_LAWS: Mapping[str, HyperparameterLaw] = MappingProxyType(
    {
        law.name: law
        for law in (
            STEPLAW,
            DEEPSEEK,
            OLMO_LADDER,
            MINICPM,
            BJORCK,
            KAPLAN,
            POWER_SCHEDULER,
            CRITICAL_BATCH_SIZE,
            POWER_LINES,
            ADAMW_TIMESCALE,
        )
    }
)

__all__ = [
    "HYPERPARAMETER_LAWS",
    "QUANTITIES",
    "RATES",
    "Advice",
    "Batch",
    "Confidence",
    "HyperparameterLaw",
    "LogLine",
    "Power",
    "Range",
    "Reach",
    "Recommendation",
    "Spread",
    "adamw_timescale",
    "by_name",
    "deepseek_flops_per_token",
    "farthest",
    "from_mapping",
    "own_batch",
    "recommend",
    "rescale",
    "side_by_side",
    "spread",
    "to_mapping",
    "weight_decay_at",
]


def by_name(name: str) -> HyperparameterLaw:
    """One published law."""
    if name not in HYPERPARAMETER_LAWS:
        raise UserError(
            f"unknown hyperparameter law '{name}': {nearest(name, HYPERPARAMETER_LAWS)}"
        )
    return HYPERPARAMETER_LAWS[name]
