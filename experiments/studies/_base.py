"""The run that studies of plain transformers vary: muP, AdamW, a linear schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, Execution, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from scaling.machines.program import Program
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


# Settings of a `Size` for two cores, and for one GPU
CPU: Mapping[str, Any] = {
    "layers": 2,
    "head_dim": 8,
    "batch": BatchConfig(sequences=8, seq_len=128),
    "learning_rate": 0.0088,
    "base_width": 32,
}
GPU: Mapping[str, Any] = {
    "layers": 6,
    "head_dim": 64,
    "batch": BatchConfig(sequences=64, seq_len=512),
    "learning_rate": 4e-3,
    "base_width": 256,
    "precision": "bfloat16",
    "program": Program(layers="scan"),
}


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
