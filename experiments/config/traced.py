"""`TRACED`: the numbers of a run that enter its compiled program as arrays.

Two runs that differ in these alone share one program, and can train in one population. All other
science is compiled (`Recipe` in experiments/training/step.py) or concerns the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from experiments.config.fields import field_types
from experiments.config.run import PenaltiesConfig, Science


@dataclass(frozen=True)
class Traced:
    """A number of a program: its value, and the fields that the program reads through it alone."""

    value: Callable[[Science], float]
    fields: tuple[str, ...]
    dtype: Literal["float32", "int32", "uint32"] = "float32"


def _field(path: str, dtype: Literal["float32", "uint32"] = "float32") -> Traced:
    return Traced(attrgetter(path), (path,), dtype)


def knee_steps(science: Science) -> float:
    """The steps n / batch_tokens at which beta a n^b, beta the sequences, is the peak rate."""
    s, batch = science.schedule, science.batch
    peak = science.optimizer.learning_rate / (batch.sequences * s.power_amplitude)
    return math.exp(min(math.log(peak) / s.power_exponent, 80.0)) / batch.batch_tokens


TRACED: Mapping[str, Traced] = {
    "learning_rate": _field("optimizer.learning_rate"),  # peak
    "beta1": _field("optimizer.beta1"),
    "beta2": _field("optimizer.beta2"),
    "momentum": _field("optimizer.momentum"),
    "epsilon": _field("optimizer.epsilon"),
    "adamw_rate": _field("optimizer.adamw_rate"),
    "weight_decay": _field("optimizer.weight_decay"),
    "clip_norm": Traced(lambda s: s.optimizer.clip_norm or math.inf, ("optimizer.clip_norm",)),
    "rounding_steps": Traced(
        lambda s: s.optimizer.rounding_fraction * s.steps, ("optimizer.rounding_fraction",)
    ),
    "warmup_steps": Traced(lambda s: s.warmup_steps, ("schedule.warmup_fraction",)),
    "decay_steps": Traced(lambda s: s.decay_steps, ("schedule.decay_fraction",)),
    "total_steps": Traced(lambda s: s.steps, ("budget.tokens",), "int32"),
    "final_fraction": _field("schedule.final_fraction"),
    "knee_steps": Traced(knee_steps, ("schedule.power_amplitude",)),  # where power leaves the peak
    "power_exponent": _field("schedule.power_exponent"),
    "settling_steps": Traced(lambda s: s.settling_steps, ("schedule.settling_fraction",)),
    "plateau_fraction": _field("schedule.plateau_fraction"),
    "ema_decay": _field("evaluation.ema_decay"),
    "init_scale": _field("init_scale"),
    "tuned_values": Traced(lambda s: min(s.tuning.values, 2**31 - 1), ("tuning.values",), "int32"),
    "seed": _field("seed", "uint32"),
    **{f"penalties.{name}": _field(f"penalties.{name}") for name in field_types(PenaltiesConfig)},
}
FIELDS = tuple(path for traced in TRACED.values() for path in traced.fields)
