"""A run's config, split by type into science (decides the result) and execution (cannot)."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal

from experiments.config.data import DataConfig
from experiments.config.fields import field_types
from experiments.config.optimizer import OptimizerConfig, TuningConfig
from experiments.config.schedule import DECAYS, ScheduleConfig, check_schedule
from models import config
from models.config import TransformerConfig
from scaling.common.errors import AT_LEAST_ONE, POSITIVE, Ranges, UserError, check_choices
from scaling.machines import layout
from scaling.machines.layout import Layout
from scaling.machines.program import Program
from scaling.parametrization import parametrization
from scaling.parametrization.parametrization import Parametrization


@dataclass(frozen=True)
class BatchConfig:
    sequences: int = 4  # of a step [sequences]
    seq_len: int = 128  # of a sequence, the context [tokens]

    @property
    def batch_tokens(self) -> int:
        return self.sequences * self.seq_len


@dataclass(frozen=True)
class BudgetConfig:
    # of training, rounded to whole steps; the record holds the tokens really seen; 0: a derived run
    # as its operation made it [tokens]
    tokens: int = 1_000_000


@dataclass(frozen=True)
class EvaluationConfig:
    """Validation and other tasks, at the end and at `times - 1` evenly spaced steps before it."""

    windows: int = 1024  # of validation, always the same [sequences]
    tasks: tuple[str, ...] = ()  # files of experiments/evaluation/tasks, beside the validation loss
    times: int = 1  # evaluations over the run, the last at its end
    weights: Literal["last", "ema"] = "last"  # ema: their exponential moving average
    ema_decay: float = 0.999  # of that average [per step]


@dataclass(frozen=True)
class PenaltiesConfig:
    """Factors of the objective: cross-entropy + sum_k penalties[k] * found[k].

    The model finds each by its name, as a mean over tokens and layers. The recorded loss is the
    cross-entropy alone.
    """

    z_loss: float = 0.0  # (ln Z)^2 of the logits (Chowdhery et al. 2022: 1e-4)
    balance_loss: float = 0.01  # unevenness of the choice of experts (Fedus et al. 2021)
    router_z_loss: float = 0.001  # (ln Z)^2 of the routers (Zoph et al. 2022)
    entropy_loss: float = 0.01  # unevenness of sigmoid routers (Csordas et al. 2024)
    bias_loss: float = 0.01  # excess load of experts, which moves their biases alone
    policy_loss: float = 0.01  # of REINFORCE, for routers that draw
    baseline_loss: float = 0.01  # squared error of its baseline [nats^2]
    auxiliary_loss: float = 0.001  # of the router that guesses an expert choice of recursions


_FRACTION = (0, 1, "must lie between 0 and 1")
_NOT_NEGATIVE = (0, sys.float_info.max, "must be finite and not negative")
_BETA = (0, 1 - 1e-12, "must be at least 0 and below 1")

RANGES: Ranges = {
    "batch.sequences": AT_LEAST_ONE,
    "batch.seq_len": AT_LEAST_ONE,
    "budget.tokens": (0, 2**53, "must be 0 (of a derived run) or more, and at most 2^53"),
    "evaluation.windows": AT_LEAST_ONE,
    "evaluation.times": AT_LEAST_ONE,
    "schedule.warmup_fraction": _FRACTION,
    "schedule.decay_fraction": _FRACTION,
    "schedule.final_fraction": _FRACTION,
    "schedule.power_amplitude": POSITIVE,
    "schedule.power_exponent": (-10, -1e-3, "must lie between -10 and -0.001"),
    "schedule.settling_fraction": _FRACTION,
    "schedule.plateau_fraction": (1e-6, 1, "must be positive and at most 1"),
    "optimizer.learning_rate": POSITIVE,
    "optimizer.epsilon": POSITIVE,
    "optimizer.adamw_rate": POSITIVE,
    "optimizer.rounding_fraction": _FRACTION,
    "optimizer.clip_norm": (0, sys.float_info.max, "must be positive, or 0 for no clipping"),
    "optimizer.weight_decay": _NOT_NEGATIVE,
    "optimizer.beta1": _BETA,
    "optimizer.beta2": _BETA,
    "optimizer.momentum": _BETA,
    "evaluation.ema_decay": _BETA,
    **{f"penalties.{name}": _NOT_NEGATIVE for name in field_types(PenaltiesConfig)},
    "tuning.rank": AT_LEAST_ONE,
    "tuning.values": AT_LEAST_ONE,
    "init_scale": POSITIVE,
    "seed": (0, 2**31 - 1, f"must lie between 0 and {2**31 - 1}"),
}
EXECUTION_RANGES: Ranges = {
    "execution.steps_per_dispatch": AT_LEAST_ONE,
    "execution.microbatch": (0, math.inf, "must be 0 (as suits the device) or more"),
    "execution.program.logits_chunks": (0, math.inf, "must be 0 (as suits the device) or more"),
    "execution.runs_per_program": (0, math.inf, "must be 0 (as is fastest on the device) or more"),
    "execution.checkpoint_seconds": _NOT_NEGATIVE,
    "execution.keep": AT_LEAST_ONE,
}


# of every field, here or in the class that checks it
BOUNDS: Ranges = {
    **RANGES,
    **EXECUTION_RANGES,
    **{f"model.{name}": bound for name, bound in config.RANGES.items()},
    **{f"parametrization.{name}": bound for name, bound in parametrization.RANGES.items()},
    **{f"execution.layout.{name}": bound for name, bound in layout.RANGES.items()},
}


_READ, _READ_EXECUTION = attrgetter(*RANGES), attrgetter(*EXECUTION_RANGES)


def _check(values: Iterable[float], ranges: Ranges) -> None:
    for value, (path, (least, greatest, rule)) in zip(values, ranges.items(), strict=True):
        if not least <= value <= greatest:  # NaN is in no range
            raise UserError(f"{path}={value}: {rule}")


@dataclass(frozen=True)
class Science:
    """Settings that decide the result of a run."""

    model: TransformerConfig = field(default_factory=TransformerConfig)
    parametrization: Parametrization = field(default_factory=Parametrization)
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    batch: BatchConfig = BatchConfig()
    budget: BudgetConfig = BudgetConfig()
    data: DataConfig = field(default_factory=DataConfig)
    evaluation: EvaluationConfig = EvaluationConfig()
    precision: Literal["float32", "bfloat16"] = "float32"  # of products; parameters are float32
    init_scale: float = 1.0  # a factor on every initial deviation
    penalties: PenaltiesConfig = PenaltiesConfig()  # factor of a term of the objective
    tuning: TuningConfig = TuningConfig()
    seed: int = 0  # of the initial parameters and of the order of the data

    @property
    def steps(self) -> int:
        wanted = round(self.budget.tokens / self.batch.batch_tokens)
        return max(1, wanted) if self.budget.tokens else 0

    @property
    def tokens(self) -> int:
        """Training tokens of the whole steps."""
        return self.steps * self.batch.batch_tokens

    @property
    def warmup_steps(self) -> int:
        return round(self.schedule.warmup_fraction * self.steps)

    @property
    def decay_steps(self) -> int:
        """Last steps, over which the rate decays."""
        parts = {
            "rest": self.steps - self.warmup_steps,
            "part": round(self.schedule.decay_fraction * self.steps),
            "none": 0,
        }
        return parts[DECAYS[self.schedule.name]]

    @property
    def settling_steps(self) -> int:
        """Steps from warm-up to the plateau; read by the infinite schedule alone."""
        return round(self.schedule.settling_fraction * self.steps)

    @property
    def state_copies(self) -> int:
        """Most float32 values that training keeps for each parameter, besides itself."""
        return self.optimizer.kind.copies + (self.evaluation.weights == "ema")

    def __post_init__(self) -> None:
        for section in ("optimizer", "schedule", "evaluation", "tuning"):
            check_choices(section, getattr(self, section))
        check_choices("science", self)
        _check(_READ(self), RANGES)
        for family in self.optimizer.kind.families:
            self.parametrization.check(family, self.model.embeddings)
        self._check_average()
        p = self.parametrization
        if not self.model.alike and (p.base_ffn or p.base_attention):
            raise UserError(
                "parametrization.base_ffn, base_attention: layers of sizes by depth have no one "
                "ratio to a base; leave both at 0, or model.layer_heads and layer_ffn alone"
            )
        if self.model.weights != "dense" and self.optimizer.kind.matrices:
            raise UserError(
                f"optimizer.name={self.optimizer.name}: it makes matrices orthogonal, and the "
                f"entries of a sparse one (model.weights={self.model.weights}) are none; choose "
                "adamw"
            )
        self.tuning.check(self.optimizer.name)
        check_schedule(self.schedule)

    def _check_average(self) -> None:
        """Check that an averaging optimizer has a constant rate and no second average.

        Raises:
            UserError: it has a decay, another average, or no beta1 to average by.
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


@dataclass(frozen=True)
class Execution:
    """Settings that cannot change the result of a run. Never part of its identity."""

    program: Program = field(default_factory=Program)
    layout: Layout = field(default_factory=Layout)  # over the devices of all processes
    microbatch: int = 0  # of one gradient; 0: as suits the device [sequences]
    steps_per_dispatch: int = 32  # given to the device at once; a row of metrics.jsonl [steps]
    runs_per_program: int = 0  # members of a population; 0: as is fastest on the device [runs]
    checkpoint_seconds: float = 20.0  # work lost to an interruption, at most [s]
    keep: int = 2  # newest checkpoints kept, to continue from; with 1 a damaged one is a new start
    # checkpoints of a run that completed, once no run of the study needs them; freed ones are gone,
    # and with them export and evaluation
    unneeded: Literal["kept", "freed"] = "kept"
    permanent: tuple[int, ...] = ()  # steps with checkpoints kept for good


@dataclass(frozen=True)
class RunConfig:
    science: Science = field(default_factory=Science)
    execution: Execution = field(default_factory=Execution)

    def __post_init__(self) -> None:
        check_choices("execution", self.execution)
        _check(_READ_EXECUTION(self), EXECUTION_RANGES)
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
        last, dispatch = self.science.steps, self.execution.steps_per_dispatch
        for step in self.execution.permanent:
            if step > last:
                raise UserError(
                    f"budget.tokens={self.science.budget.tokens}: the run ends at step {last}, and "
                    f"keeps a checkpoint of step {step} (execution.permanent), where a branch may "
                    "begin; train it longer, or change budget and branches in the study file"
                )
            if step < 1 or (step % dispatch and step != last):
                raise UserError(
                    f"execution.permanent={step}: no dispatch ends there; choose multiples of "
                    f"execution.steps_per_dispatch={dispatch} up to the last step, {last}"
                )
