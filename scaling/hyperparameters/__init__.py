"""Hyperparameter laws, and what they recommend for a run.

Each published law is a frozen record in a file of its own that carries what its constants count,
where they were fitted and by whom. `side_by_side` asks all of them about one run, `recommend` asks
one, and `rescale` moves a tuned value along one. A new law is one file in
`published/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from scaling.common import plugins
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
    plugins.values("scaling.hyperparameters.published", HyperparameterLaw)
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
    "by_name",
    "farthest",
    "from_mapping",
    "own_batch",
    "recommend",
    "rescale",
    "side_by_side",
    "spread",
    "to_mapping",
]


def by_name(name: str) -> HyperparameterLaw:
    """One published law."""
    if name not in HYPERPARAMETER_LAWS:
        raise UserError(
            f"unknown hyperparameter law '{name}': {nearest(name, HYPERPARAMETER_LAWS)}"
        )
    return HYPERPARAMETER_LAWS[name]
