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
from functools import cache, reduce
from operator import attrgetter, getitem
from typing import Any, Literal, get_type_hints

from experiments.config.data import DataConfig
from experiments.config.optimizer import OptimizerConfig
from models.config import Program, TransformerConfig
from scaling.common.errors import UserError, check_choices
from scaling.machines.layout import Layout
from scaling.parametrization.parametrization import Parametrization, RolePowers

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


ScheduleName = Literal[
    "linear",
    "cosine",
    "wsd",
    "constant",
    "trapezoid",
    "multistep",
    "inverse_sqrt",
    "power",
    "infinite",
]


@dataclass(frozen=True)
class ScheduleConfig:
    """Linear warm-up, a plateau, and a decay to `final_fraction` of the peak: experiments/schedule.

    What has no place in the named schedule is not read.
    """

    name: ScheduleName = "linear"
    warmup_fraction: float = 0.05  # of all steps
    decay_fraction: float = 0.2  # of all steps, the last; where `DECAYS` is "part"
    decay_shape: Literal["linear", "cosine", "mirror_cosine", "1-sqrt", "square", "exponential"] = (
        "linear"  # of wsd, inverse_sqrt, power and infinite
    )
    final_fraction: float = 0.0  # of the peak
    power_amplitude: float = 4.0  # a of power: eta = a n^b for each sequence of the batch
    power_exponent: float = -0.51  # b, with n the tokens seen
    settling_fraction: float = 0.2  # of all steps, after warm-up: infinite's way to its plateau
    plateau_fraction: float = 0.5  # of the peak: infinite's plateau


# The steps over which a schedule decays: all that are not warm-up, the last `decay_fraction`, none.
# Of the latter two the rate does not know the run's length until then.
DECAYS: Mapping[ScheduleName, Literal["rest", "part", "none"]] = {
    "linear": "rest",
    "cosine": "rest",
    "wsd": "part",
    "constant": "none",
    "trapezoid": "part",
    "multistep": "part",
    "inverse_sqrt": "part",
    "power": "part",
    "infinite": "part",
}


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
    weights: Literal["last", "ema"] = "last"  # ema: their exponential moving average
    ema_decay: float = 0.999  # per step


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
    "schedule.power_amplitude": _POSITIVE,
    "schedule.power_exponent": (-10, -1e-3, "must lie between -10 and -0.001"),
    "schedule.settling_fraction": _FRACTION,
    "schedule.plateau_fraction": (1e-6, 1, "must be positive and at most 1"),
    "optimizer.learning_rate": _POSITIVE,
    "optimizer.epsilon": _POSITIVE,
    "optimizer.clip_norm": _POSITIVE,
    "optimizer.weight_decay": (0, sys.float_info.max, "must be finite and not negative"),
    "optimizer.beta1": _BETA,
    "optimizer.beta2": _BETA,
    "optimizer.momentum": _BETA,
    "evaluation.ema_decay": _BETA,
    "z_loss": (0, sys.float_info.max, "must be finite and not negative"),
    "balance_loss": (0, sys.float_info.max, "must be finite and not negative"),
    "router_z_loss": (0, sys.float_info.max, "must be finite and not negative"),
    "init_scale": _POSITIVE,
    "seed": (0, 2**31 - 1, f"must lie between 0 and {2**31 - 1}"),
}
EXECUTION_RANGES: Ranges = {
    "execution.steps_per_dispatch": _AT_LEAST_ONE,
    "execution.microbatch": (0, math.inf, "must be 0 (as suits the device) or more"),
    "execution.program.logits_chunks": (0, math.inf, "must be 0 (as suits the device) or more"),
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
    z_loss: float = 0.0  # the objective is cross-entropy + z_loss * mean (ln Z)^2; PaLM: 1e-4
    # and of a model with experts, + the two times what models.moe.Routing says, mean over layers
    balance_loss: float = 0.01  # of its balance (Fedus et al. 2021)
    router_z_loss: float = 0.001  # of its log_z_squared (Zoph et al. 2022)
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
        """Of the last steps, those over which the rate decays."""
        parts = {
            "rest": self.steps - self.warmup_steps,
            "part": round(self.schedule.decay_fraction * self.steps),
            "none": 0,
        }
        return parts[DECAYS[self.schedule.name]]

    @property
    def settling_steps(self) -> int:
        """After warm-up, on the way to the plateau; of the infinite schedule alone."""
        return round(self.schedule.settling_fraction * self.steps)

    @property
    def state_copies(self) -> int:
        """float32 values that training keeps for each parameter, besides itself; at most."""
        return self.optimizer.kind.copies + (self.evaluation.weights == "ema")

    def __post_init__(self) -> None:
        for section in ("optimizer", "schedule", "evaluation"):
            check_choices(section, getattr(self, section))
        check_choices("science", self)
        _check(self, RANGES)
        for family in self.optimizer.kind.families:
            self.parametrization.check(family, self.model.embeddings)
        self._check_average()
        self._check_schedule()

    def _check_average(self) -> None:
        """An optimizer that evaluates its own average wants a constant rate, and no other average.

        Raises:
            UserError: it has something else.
        """
        name = self.optimizer.name
        if not self.optimizer.kind.averages:
            return
        if self.schedule.name != "constant":
            raise UserError(
                f"schedule.name={self.schedule.name}: {name} needs no decay and its averages "
                "suppose none; set schedule.name=constant"
            )
        if self.evaluation.weights != "last":
            raise UserError(
                f"evaluation.weights={self.evaluation.weights}: {name} evaluates an average of its "
                "own; set evaluation.weights=last"
            )
        if self.optimizer.beta1 == 0:
            raise UserError(f"optimizer.beta1=0: {name} averages by it; set it above 0, to 0.9")

    def _check_schedule(self) -> None:
        """Its parts fit into the run, and its decay can come to its end.

        Raises:
            UserError: they do not, or it cannot.
        """
        s = self.schedule
        parts = {"warmup_fraction": s.warmup_fraction}
        if s.name == "infinite":
            parts["settling_fraction"] = s.settling_fraction
        if DECAYS[s.name] == "part":
            parts["decay_fraction"] = s.decay_fraction
        if sum(parts.values()) > 1 + 1e-9:
            sums = " + ".join(f"schedule.{name}={value:g}" for name, value in parts.items())
            raise UserError(f"{sums}: longer than the run; their sum must be at most 1")
        shape = s.name if s.name == "multistep" else s.decay_shape
        geometric = shape in ("exponential", "multistep") and DECAYS[s.name] == "part"
        if geometric and s.name != "trapezoid" and s.decay_fraction > 0 and s.final_fraction == 0:
            raise UserError(
                f"schedule.final_fraction=0: a decay by factors ({shape}) never comes to 0; set it "
                "above 0, to 0.1"
            )


@dataclass(frozen=True)
class Execution:
    """How a run is carried out. Never part of its identity."""

    program: Program = field(default_factory=Program)
    layout: Layout = field(default_factory=Layout)  # over the devices of all processes of a run
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
        t, n = self.science.batch.seq_len, self.execution.program.logits_chunks
        if n and t % n:
            raise UserError(
                f"batch.seq_len={t} is not a multiple of execution.program.logits_chunks={n}; "
                "choose a number that divides it"
            )
        if self.execution.pack > 1 and self.execution.layout.name != "single":
            raise UserError(
                f"execution.pack={self.execution.pack}: a run that is shared out over devices "
                f"(execution.layout.name={self.execution.layout.name}) trains alone; leave it at 0"
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
