"""Published hyperparameter laws by name. A new law is one file here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from scaling.common import plugins
from scaling.common.errors import UserError, nearest
from scaling.hyperparameters.law import HyperparameterLaw

HYPERPARAMETER_LAWS: Mapping[str, HyperparameterLaw] = MappingProxyType(
    plugins.values(__name__, HyperparameterLaw)
)


def by_name(name: str) -> HyperparameterLaw:
    """One published law."""
    if name not in HYPERPARAMETER_LAWS:
        raise UserError(
            f"unknown hyperparameter law '{name}': {nearest(name, HYPERPARAMETER_LAWS)}"
        )
    return HYPERPARAMETER_LAWS[name]
