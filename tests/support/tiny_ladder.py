"""A ladder small enough for a test: nine runs of a few hundred steps, and one held out."""

from __future__ import annotations

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, BudgetConfig, EvaluationConfig, RunConfig, Science
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from models.config import TransformerConfig
from scaling.parametrization.parametrization import Parametrization

LADDER = ((8, 40), (8, 80), (8, 160), (16, 40), (16, 80), (16, 160), (24, 80), (24, 160), (24, 320))
HELD_OUT = (32, 320)


def run(width: int, steps: int, part: StudyPart, seed: int) -> Run:
    model = TransformerConfig(
        layers=1, width=width, heads=width // 8, kv_heads=width // 8, head_dim=8, ffn=2 * width
    )
    batch = BatchConfig(sequences=4, seq_len=64)
    science = Science(
        model=model,
        parametrization=Parametrization("mup", base_width=16, base_head_dim=8),
        optimizer=OptimizerConfig(learning_rate=0.02),
        batch=batch,
        budget=BudgetConfig(steps * batch.batch_tokens),
        evaluation=EvaluationConfig(windows=256),
        seed=seed,
    )
    return Run(RunConfig(science), rung=width // 8 - 1, part=part)


def study(seed: int = 0) -> Study:
    return Study(
        name="tiny",
        question="Does the whole chain hold?",
        runs=(
            *(run(width, steps, StudyPart.FIT, seed) for width, steps in LADDER),
            run(*HELD_OUT, StudyPart.HELD_OUT, seed),
        ),
    )
