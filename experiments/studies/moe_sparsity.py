"""Mixtures of experts at equal active FLOPs: how sparse, and how finely cut, should they be?

    windtunnel run moe_sparsity               # 14 runs, two minutes on two cores
    windtunnel report runs/moe_sparsity

All mixtures have one width, and of their feed-forwards a token meets as many features as in the
dense model: A = G experts, each of 1 / G of its width. G is the granularity, A / E the activation
ratio. The router alone is dearer with more experts, and is counted. Dense models of several widths
have as many tokens for each parameter; their law L(C), C in `flops_model`, gives for each mixture

    leverage = (C of the dense law at its loss) / (its own C)

with an interval. Published for models of 10^8 parameters and more (arXiv:2507.17702): leverage is a
power law of the activation ratio, and log-quadratic in the granularity with its best at 8 to 12.
Measured at scale=cpu: exponent -0.20 [-0.34, -0.06] of sparsity and 0.10 [-0.04, 0.24] of the
granularity; the leverage of each mixture has an interval that holds 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import (
    BatchConfig,
    BudgetConfig,
    EvaluationConfig,
    Execution,
    RunConfig,
    Science,
)
from experiments.config.schedule import ScheduleConfig
from experiments.plan.grids import first_seed
from experiments.plan.run import Run
from experiments.plan.study import Study
from models.shapes import plain
from scaling.counting.formulas import params_total
from scaling.machines.program import Program
from scaling.parametrization.parametrization import Parametrization

DENSE, MIXTURE = "dense", "mixture"


@dataclass(frozen=True)
class Scale:
    """One size of the study: the same design, other numbers.

    Attributes:
        widths: of the dense models; the mixtures have that at `place`.
        sparsities: experts for each one that a token meets, E / A.
        ratio: tokens for each parameter of the dense model of a width.
    """

    layers: int
    head_dim: int
    widths: tuple[int, ...]
    place: int
    sparsities: tuple[int, ...]
    granularities: tuple[int, ...]
    ratio: int
    batch: BatchConfig
    learning_rate: float  # at base_width
    base_width: int
    windows: int
    precision: Literal["float32", "bfloat16"] = "float32"


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        layers=2,
        head_dim=8,
        widths=(8, 16, 24, 32, 40),
        place=1,
        sparsities=(2, 4, 8),
        granularities=(1, 2, 4),
        ratio=20,
        batch=BatchConfig(sequences=8, seq_len=128),
        learning_rate=0.0088,
        base_width=32,
        windows=256,
    ),
    "gpu": Scale(
        layers=12,
        head_dim=64,
        widths=(256, 384, 512, 768, 1024),
        place=1,
        sparsities=(2, 4, 8, 16, 32),
        granularities=(1, 2, 4, 8, 16),
        ratio=20,
        batch=BatchConfig(sequences=64, seq_len=1024),
        learning_rate=4e-3,
        base_width=256,
        windows=1024,
        precision="bfloat16",
    ),
}


def study(
    scale: Literal["cpu", "gpu"] = "cpu",
    router: str = "top_k",
    seed: int = 0,
) -> Study:
    """The dense ladder, and every sparsity at every granularity. Rung = width."""
    s, seeds = SCALES[scale], count(first_seed(seed))
    width = s.widths[s.place]
    mixtures = [
        {
            "ffn": 4 * width // granularity,
            "experts": granularity * sparsity,
            "experts_active": granularity,
            "router": router,
            "capacity_factor": 2.0,  # at most all tokens of a sequence, at a sparsity of 2
        }
        for sparsity in s.sparsities
        for granularity in s.granularities
    ]
    return Study(
        name="moe_sparsity",
        question="How sparse, and how finely cut, should a mixture of experts be?",
        runs=(
            *(
                Run(_config(s, each, {}, next(seeds)), rung, label=DENSE)
                for rung, each in enumerate(s.widths)
            ),
            *(
                Run(_config(s, width, choices, next(seeds)), s.place, label=MIXTURE)
                for choices in mixtures
            ),
        ),
        law=None,
        reading="moe_sparsity",
        params="params_active",
    )


def _config(s: Scale, width: int, choices: Mapping[str, Any], seed: int) -> RunConfig:
    dense = plain(width, s.layers, s.head_dim)
    tokens = s.ratio * params_total(dense.dims(s.batch.seq_len))
    return RunConfig(
        Science(
            model=plain(width, s.layers, s.head_dim, **choices),
            parametrization=Parametrization("mup", s.base_width, s.head_dim),
            optimizer=OptimizerConfig(learning_rate=s.learning_rate, beta2=0.99, weight_decay=0.1),
            schedule=ScheduleConfig(name="linear"),
            batch=s.batch,
            budget=BudgetConfig(tokens),
            evaluation=EvaluationConfig(windows=s.windows),
            precision=s.precision,
            seed=seed,
        ),
        Execution(program=Program(layers="scan"), microbatch=s.batch.sequences),
    )
