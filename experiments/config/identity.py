"""The identity of a run: a hash of its canonical science, and the only maker of run ids."""

from __future__ import annotations

import hashlib
import json
from functools import reduce
from operator import attrgetter, getitem

from experiments.config.fields import to_dict
from experiments.config.run import Science
from scaling.parametrization.parametrization import RolePowers

# Raised when the same config would give another result: a changed initialisation, order or update.
SCIENCE_VERSION = 2

# That of SGD under rates that go by weight, the only runs that were changed since: until then their
# gradients were clipped by a norm that goes with the width.
CLIPPED_BY_RATE = 3

# Fields that came after version 2. Their default means what was meant before there was a choice,
# so it does not count in the identity: runs of before are still the runs of now.
LATER = (
    "model.embedding_norm",
    "model.experts",
    "model.experts_active",
    "model.capacity_factor",
    "parametrization.base_layers",
    "parametrization.attention_scale",
    "parametrization.zero_init",
    "parametrization.learning_rate_powers",
    "parametrization.init_powers",
    "optimizer.momentum",
    "schedule.decay_shape",
    "schedule.power_amplitude",
    "schedule.power_exponent",
    "schedule.settling_fraction",
    "schedule.plateau_fraction",
    "evaluation.weights",
    "evaluation.ema_decay",
    "z_loss",
    "balance_loss",
    "router_z_loss",
)


def _version(science: Science) -> int:
    rates_by_weight = (
        science.parametrization.name != "sp"
        or science.parametrization.learning_rate_powers != RolePowers()
    )
    by_rate = science.optimizer.kind.family == "gradient" and rates_by_weight
    return CLIPPED_BY_RATE if by_rate else SCIENCE_VERSION


def identity(science: Science) -> str:
    """Twelve hex digits of the SHA-256 of the canonical science.

    The data counts by its fingerprint, not by where it lies, so a moved corpus is the same science.
    """
    value, default = to_dict(science), Science()
    for path in LATER:
        if attrgetter(path)(science) == attrgetter(path)(default):
            *sections, name = path.split(".")
            del reduce(getitem, sections, value)[name]
    if science.data.fingerprint:
        del value["data"]["path"]
    text = json.dumps([_version(science), value], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
