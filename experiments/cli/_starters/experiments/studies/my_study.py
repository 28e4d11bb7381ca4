"""Which learning rate is best at each width?

    windtunnel run my_study --dry-run
    windtunnel run my_study --set text=/my/texts --set rates=0.023,0.032,0.045,0.064,0.09
    windtunnel best runs/my_study
    windtunnel report runs/my_study

The text is a file, a folder or a glob; without one, the standard library of Python. Under muP the
best rate stays as the width grows. `windtunnel fields` explains every field of a run.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.config.data import DataConfig
from experiments.config.run import BatchConfig, BudgetConfig, RunConfig, Science
from experiments.plan.grids import configs, grid, product
from experiments.plan.run import Run
from experiments.plan.study import Study
from models.shapes import plain
from scaling.parametrization.parametrization import Parametrization


def study(
    text: str = "",
    widths: Sequence[int] = (16, 32),
    rates: Sequence[float] = (2e-3, 8e-3, 3.2e-2),
    tokens: int = 200_000,
    seed: int = 0,
) -> Study:
    """Every width with every rate."""
    base = RunConfig(
        Science(
            parametrization=Parametrization("mup", base_width=16, base_head_dim=8),
            batch=BatchConfig(sequences=4, seq_len=128),
            budget=BudgetConfig(tokens),
            data=DataConfig(source="files", path=text) if text else DataConfig(),
            seed=seed,
        )
    )
    models = [plain(width, layers=2, head_dim=8) for width in widths]
    rows = product(grid({"model": models}), grid({"optimizer.learning_rate": rates}))
    found = configs(base, rows)
    return Study(
        name="my_study",
        question="Which learning rate is best at each width?",
        runs=tuple(Run(config, rung // len(rates)) for rung, config in enumerate(found)),
        law=None,  # it compares settings
    )
