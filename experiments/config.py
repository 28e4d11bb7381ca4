"""A run's config, split by type into science (decides the result) and execution (cannot).

The identity of a run is a hash of its canonical science; `identity` is the only maker of run ids.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any, Literal, get_type_hints

from experiments.data.config import DataConfig
from models.config import Program, TransformerConfig
from scaling.errors import UserError, check_choices
from scaling.parametrization import Family, Parametrization

# Raised when the same config would give another result: a changed initialisation, order or update.
SCIENCE_VERSION = 2

# Fields that came after that version. Their default means what was meant before there was a choice,
# so it does not count in the identity: runs of before are still the runs of now.
LATER: Mapping[str, tuple[str, ...]] = {
    "model": ("embedding_norm",),
    "parametrization": ("base_layers", "attention_scale", "zero_init", "learning_rate_powers"),
}


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW. `decay` says whether the peak learning rate multiplies the weight decay."""

    name: Literal["adamw"] = "adamw"
    learning_rate: float = 3e-3
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    decay: Literal["coupled", "independent"] = "coupled"
    clip_norm: float = 1.0

    @property
    def family(self) -> Family:
        """What the size of its update depends on; the parametrizations have a rule for each."""
        return FAMILIES[self.name]


FAMILIES: Mapping[str, Family] = {"adamw": "normalised"}


@dataclass(frozen=True)
class ScheduleConfig:
    """Linear warm-up, then a named shape down to `final_fraction` of the peak at the last step."""

    name: Literal["linear", "cosine", "wsd", "constant"] = "linear"
    warmup_fraction: float = 0.05  # of all steps
    decay_fraction: float = 0.2  # of all steps; wsd only, the others decay from the end of warm-up
    final_fraction: float = 0.0


@dataclass(frozen=True)
class BatchConfig:
    sequences: int = 4
    seq_len: int = 128

    @property
    def batch_tokens(self) -> int:
        return self.sequences * self.seq_len


@dataclass(frozen=True)
class BudgetConfig:
    tokens: int = 1_000_000  # rounded to whole steps; the record holds the tokens really seen


@dataclass(frozen=True)
class EvaluationConfig:
    """Validation on fixed windows, at the end and at `times - 1` evenly spaced steps before it."""

    windows: int = 1024
    times: int = 1


_AT_LEAST_ONE = (1, math.inf, "must be at least 1")
_FRACTION = (0, 1, "must lie between 0 and 1")
_POSITIVE = (sys.float_info.min, sys.float_info.max, "must be positive and finite")
_BETA = (0, 1 - 1e-12, "must be at least 0 and below 1")

# field: least and greatest value allowed, and the rule in words
Ranges = Mapping[str, tuple[float, float, str]]
RANGES: Ranges = {
    "batch.sequences": _AT_LEAST_ONE,
    "batch.seq_len": _AT_LEAST_ONE,
    "budget.tokens": _AT_LEAST_ONE,
    "evaluation.windows": _AT_LEAST_ONE,
    "evaluation.times": _AT_LEAST_ONE,
    "schedule.warmup_fraction": _FRACTION,
    "schedule.decay_fraction": _FRACTION,
    "schedule.final_fraction": _FRACTION,
    "optimizer.learning_rate": _POSITIVE,
    "optimizer.epsilon": _POSITIVE,
    "optimizer.clip_norm": _POSITIVE,
    "optimizer.weight_decay": (0, sys.float_info.max, "must be finite and not negative"),
    "optimizer.beta1": _BETA,
    "optimizer.beta2": _BETA,
    "init_scale": _POSITIVE,
    "seed": (0, 2**31 - 1, f"must lie between 0 and {2**31 - 1}"),
}
EXECUTION_RANGES: Ranges = {
    "execution.steps_per_dispatch": _AT_LEAST_ONE,
    "execution.microbatch": (0, math.inf, "must be 0 (as suits the device) or more"),
    "execution.pack": (0, math.inf, "must be 0 (as is fastest on the device) or more"),
    "execution.checkpoint_seconds": (0, sys.float_info.max, "must be finite and not negative"),
    "execution.keep": _AT_LEAST_ONE,
}


def _check(config: Any, ranges: Ranges) -> None:
    for path, (least, greatest, rule) in ranges.items():
        value = attrgetter(path)(config)
        if not least <= value <= greatest:  # NaN is in no range
            raise UserError(f"{path}={value}: {rule}")


@dataclass(frozen=True)
class Science:
    """Everything that the result is a function of."""

    model: TransformerConfig = field(default_factory=TransformerConfig)
    parametrization: Parametrization = field(default_factory=Parametrization)
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    batch: BatchConfig = BatchConfig()
    budget: BudgetConfig = BudgetConfig()
    data: DataConfig = field(default_factory=DataConfig)
    evaluation: EvaluationConfig = EvaluationConfig()
    precision: Literal["float32", "bfloat16"] = "float32"  # of products; parameters are float32
    init_scale: float = 1.0
    seed: int = 0

    @property
    def steps(self) -> int:
        return max(1, round(self.budget.tokens / self.batch.batch_tokens))

    @property
    def tokens(self) -> int:
        """Training tokens really seen: whole steps."""
        return self.steps * self.batch.batch_tokens

    @property
    def warmup_steps(self) -> int:
        return round(self.schedule.warmup_fraction * self.steps)

    @property
    def decay_steps(self) -> int:
        """Of the last steps: a part of all for wsd, all that are not warm-up for the others."""
        if self.schedule.name == "wsd":
            return round(self.schedule.decay_fraction * self.steps)
        return self.steps - self.warmup_steps

    def __post_init__(self) -> None:
        check_choices("science", self)
        check_choices("optimizer", self.optimizer)
        check_choices("schedule", self.schedule)
        _check(self, RANGES)
        self.parametrization.check(self.optimizer.family, self.model.embeddings)


@dataclass(frozen=True)
class Execution:
    """How a run is carried out. Never part of its identity."""

    program: Program = field(default_factory=Program)
    microbatch: int = 0  # sequences whose gradients are taken at once; 0: as suits the device
    steps_per_dispatch: int = 32  # also the steps averaged in one row of metrics.jsonl
    pack: int = 0  # like runs trained in one program; 0: as is fastest on the device
    checkpoint_seconds: float = 20.0  # at most this much work is lost to an interruption
    keep: int = 2  # newest checkpoints kept, to go on from; with 1 a damaged one is a new start
    permanent: tuple[int, ...] = ()  # steps whose checkpoints are kept besides, for good


@dataclass(frozen=True)
class RunConfig:
    science: Science = field(default_factory=Science)
    execution: Execution = field(default_factory=Execution)

    def __post_init__(self) -> None:
        _check(self, EXECUTION_RANGES)
        b, m = self.science.batch.sequences, self.execution.microbatch
        if m and b % m:
            raise UserError(
                f"batch.sequences={b} is not a multiple of execution.microbatch={m}; "
                "choose a microbatch that divides the batch"
            )
        last, dispatch = self.science.steps, self.execution.steps_per_dispatch
        for step in self.execution.permanent:
            if not 0 < step <= last or (step % dispatch and step != last):
                raise UserError(
                    f"execution.permanent={step}: no dispatch ends there; choose multiples of "
                    f"execution.steps_per_dispatch={dispatch} up to the last step, {last}"
                )


@cache
def field_types(kind: type) -> Mapping[str, Any]:
    """The fields of a config class and their types, in order."""
    hints = get_type_hints(kind)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(kind)}


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain nested dicts, ready for JSON; 1 and 1.0 are one value of a float field."""

    def plain(value: Any, kind: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return to_dict(value)
        if isinstance(value, tuple):
            return list(value)
        return kind(value) if kind in (int, float) else value

    kinds = field_types(type(config))  # type: ignore[arg-type]
    return {name: plain(getattr(config, name), kind) for name, kind in kinds.items()}


def identity(science: Science) -> str:
    """Twelve hex digits of the SHA-256 of the canonical science.

    The data counts by its fingerprint, not by where it lies, so a moved corpus is the same science.
    """
    value = to_dict(science)
    for section, names in LATER.items():
        defaults = to_dict(type(getattr(science, section))())
        for name in names:
            if value[section][name] == defaults[name]:
                del value[section][name]
    if science.data.fingerprint:
        del value["data"]["path"]
    text = json.dumps([SCIENCE_VERSION, value], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
