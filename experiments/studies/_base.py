"""The run that studies of plain transformers vary: muP, AdamW, a linear schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, Execution, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from models.config import Program
from scaling.parametrization.parametrization import Parametrization


@dataclass(frozen=True, kw_only=True)
class Size:
    """Settings that every scale of a study gives; `learning_rate` is that at the base width."""

    layers: int
    head_dim: int
    batch: BatchConfig
    learning_rate: float
    base_width: int
    precision: Literal["float32", "bfloat16"] = "float32"
    program: Program = Program()


def base(s: Size, **science: Any) -> RunConfig:
    """The run of a scale, with further fields of its science."""
    return RunConfig(
        Science(
            parametrization=Parametrization("mup", s.base_width, s.head_dim),
            optimizer=OptimizerConfig(learning_rate=s.learning_rate, beta2=0.99, weight_decay=0.1),
            schedule=ScheduleConfig(name="linear"),
            batch=s.batch,
            precision=s.precision,
            **science,
        ),
        Execution(program=s.program),
    )
