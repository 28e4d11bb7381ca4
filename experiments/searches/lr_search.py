"""Which learning rate, second beta and weight decay suit a tiny model?"""

from __future__ import annotations

from experiments.config import (
    BatchConfig,
    BudgetConfig,
    EvaluationConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    Science,
)
from experiments.search import Search
from experiments.space import Choice, LogUniform
from models.config import TransformerConfig
from scaling.parametrization import Parametrization

STEPS = 40  # of budget 1


def search() -> Search:
    """Hyperband over what most decides how AdamW trains a model of one size."""
    batch = BatchConfig(sequences=4, seq_len=128)
    base = RunConfig(
        Science(
            model=TransformerConfig(
                layers=2,
                width=32,
                heads=4,
                kv_heads=4,
                head_dim=8,
                ffn=128,
                mlp="relu2",
                qk_norm="rmsnorm",
            ),
            parametrization=Parametrization("mup", base_width=32, base_head_dim=8),
            optimizer=OptimizerConfig(),
            schedule=ScheduleConfig(name="constant", warmup_fraction=0.25),
            batch=batch,
            budget=BudgetConfig(STEPS * batch.batch_tokens),
            evaluation=EvaluationConfig(windows=512),
        )
    )
    return Search(
        name="lr_search",
        question="Which learning rate, second beta and weight decay suit a tiny model?",
        base=base,
        space={
            "optimizer.learning_rate": LogUniform(1e-4, 0.3),
            "optimizer.beta2": Choice((0.95, 0.99)),
            "optimizer.weight_decay": LogUniform(0.01, 1.0),
        },
        R=27,
    )
