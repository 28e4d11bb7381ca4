"""The laws by name. A new law is one file here and its line in `LAWS`.

`laws.chinchilla` is the law itself, not the module of that name.
"""

from __future__ import annotations

from scaling.common.errors import UserError, nearest
from scaling.laws._allocation import params_allocation, tokens_allocation
from scaling.laws._law import (
    Convention,
    Law,
    Parameter,
    Published,
    Term,
    additive,
    amplitude,
    exponent,
    offset,
    positive,
    real,
)
from scaling.laws.annealing import momentum, multi_power
from scaling.laws.chinchilla import chinchilla
from scaling.laws.critical_batch import critical_batch, critical_batch_of_size, steps_to_loss
from scaling.laws.data_constrained import data_constrained
from scaling.laws.error import error
from scaling.laws.hestness import hestness, hestness_size
from scaling.laws.kaplan import kaplan, kaplan_flops, kaplan_params, kaplan_steps, kaplan_tokens
from scaling.laws.learning_curves import (
    bnsl,
    quadratic_then_power_law,
    shifted_power_law,
    sigmoidal_power_law,
    two_power_laws,
)
from scaling.laws.minicpm import minicpm
from scaling.laws.overtraining import overtraining
from scaling.laws.power import power_law, power_law_no_offset
from scaling.laws.routed import routed

_ALL = (
    chinchilla,
    power_law,
    power_law_no_offset,
    hestness,
    hestness_size,
    kaplan,
    kaplan_params,
    kaplan_tokens,
    kaplan_flops,
    kaplan_steps,
    minicpm,
    shifted_power_law,
    sigmoidal_power_law,
    bnsl(),
    two_power_laws(),
    quadratic_then_power_law(),
    overtraining,
    error,
    data_constrained,
    routed,
    multi_power,
    momentum,
    critical_batch,
    critical_batch_of_size,
    steps_to_loss,
    params_allocation,
    tokens_allocation,
)
LAWS: dict[str, Law] = {law.name: law for law in _ALL}

__all__ = [
    "LAWS",
    "Convention",
    "Law",
    "Parameter",
    "Published",
    "Term",
    "additive",
    "amplitude",
    "bnsl",
    "by_name",
    "chinchilla",
    "critical_batch",
    "critical_batch_of_size",
    "data_constrained",
    "error",
    "exponent",
    "hestness",
    "hestness_size",
    "kaplan",
    "kaplan_flops",
    "kaplan_params",
    "kaplan_steps",
    "kaplan_tokens",
    "minicpm",
    "momentum",
    "multi_power",
    "offset",
    "overtraining",
    "params_allocation",
    "positive",
    "power_law",
    "power_law_no_offset",
    "quadratic_then_power_law",
    "real",
    "routed",
    "shifted_power_law",
    "sigmoidal_power_law",
    "steps_to_loss",
    "tokens_allocation",
    "two_power_laws",
]


def by_name(name: str) -> Law:
    """The law of that name; an unknown name is a UserError with the nearest one."""
    if name not in LAWS:
        raise UserError(f"unknown law '{name}': {nearest(name, LAWS)}")
    return LAWS[name]
