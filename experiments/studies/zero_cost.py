"""Does a score at the start rank architectures as training does? Shapes by parts, of one size.

    windtunnel predictors zero_cost        # scores of every run, before any is trained
    windtunnel run zero_cost
    windtunnel predictors zero_cost        # and their rank correlations with the losses

docs/sweeps.md has what 150,000 tokens each found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, BudgetConfig, EvaluationConfig, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from experiments.plan.run import Run
from experiments.plan.study import Study
from models.shapes import plain
from scaling.parametrization.parametrization import Parametrization

HEAD_DIM = 8
BASE_WIDTH = 16
SHAPES = ((16, 9), (24, 4), (32, 2), (40, 1))  # width, layers
PARTS: Mapping[str, Mapping[str, Any]] = {
    "attention": {},
    "swiglu": {"mlp": "swiglu"},
    "alibi": {"pattern": ("alibi",)},
    "sliding_window": {"pattern": ("sliding_window:window=16",)},
    "retention": {"pattern": ("retention",)},
    "qlstm": {"pattern": ("qlstm",)},
}


def study(tokens: int = 250_000, log2_rate: int = -6, seed: int = 0) -> Study:
    """Every kind of part in every shape, all on the same tokens at one rate under muP."""
    return Study(
        name="zero_cost",
        question="Does a score at the start rank architectures as training does?",
        runs=tuple(
            Run(
                _config(width, layers, choices, tokens, log2_rate, seed),
                0,
                label=f"{name}-{layers}",
            )
            for name, choices in PARTS.items()
            for width, layers in SHAPES
        ),
        law=None,
    )


def _config(
    width: int, layers: int, choices: Mapping[str, Any], tokens: int, log2_rate: int, seed: int
) -> RunConfig:
    return RunConfig(
        Science(
            model=plain(width, layers, HEAD_DIM, **choices),
            parametrization=Parametrization("mup", BASE_WIDTH, HEAD_DIM, base_ffn=4 * BASE_WIDTH),
            optimizer=OptimizerConfig(learning_rate=2.0**log2_rate, weight_decay=0.1, beta2=0.99),
            schedule=ScheduleConfig("linear", warmup_fraction=0.05, final_fraction=0.0),
            batch=BatchConfig(sequences=4, seq_len=128),
            budget=BudgetConfig(tokens),
            evaluation=EvaluationConfig(windows=1024),
            seed=seed,
        )
    )
