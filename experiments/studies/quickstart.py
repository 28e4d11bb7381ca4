"""Can a few minutes on a laptop predict a run that they never saw?

make study                                                       # or, step by step:
windtunnel run quickstart
windtunnel predict runs/quickstart
windtunnel run quickstart --part held_out
windtunnel report runs/quickstart

Expected: predicted 1.36 [1.31, 1.41] nats/byte, measured 1.37, with the standard library of Python
3.11; about four minutes on two cores. The ladder has one depth, so that its sizes differ in one way
only; muP carries one learning rate, tuned at width 32, over the widths.
"""

from __future__ import annotations

import itertools

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, BudgetConfig, EvaluationConfig, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from experiments.plan.grids import first_seed
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from models.shapes import plain
from scaling.counting.formulas import params_total
from scaling.designs import fixed_ratios
from scaling.parametrization.parametrization import Parametrization

WIDTHS = (16, 24, 32, 40, 48)
# tokens per parameter: one band for every size, the held-out run's ratio well inside it, and no
# run of less than 900 steps, for the law describes trained models
RATIOS = ((45, 80, 145), (30, 50, 85, 145), (25, 45, 80, 145), (25, 45, 80), (25, 40, 60))
HELD_OUT = (56, 73)  # width, tokens per parameter
HELD_OUT_SEEDS = 2
CONTEXT = 128


def science(width: int, tokens: int, seed: int) -> Science:
    return Science(
        model=plain(width, layers=2, head_dim=8),
        parametrization=Parametrization("mup", base_width=32, base_head_dim=8),
        optimizer=OptimizerConfig(learning_rate=0.0088, weight_decay=0.1, beta2=0.99),
        schedule=ScheduleConfig(name="linear", warmup_fraction=0.05, final_fraction=0.0),
        batch=BatchConfig(sequences=4, seq_len=CONTEXT),
        budget=BudgetConfig(tokens),
        evaluation=EvaluationConfig(windows=2048),
        seed=seed,
    )


def study(seed: int = 0) -> Study:
    """The ladder, and one size above it held out, with two seeds."""
    sizes = [params_total(plain(width, layers=2, head_dim=8).dims(CONTEXT)) for width in WIDTHS]
    # a seed for every run: one unlucky initialisation must not look like an effect of size
    seeds = itertools.count(first_seed(seed))
    fitted = [
        Run(RunConfig(science(WIDTHS[point.size], point.tokens, next(seeds))), point.rung)
        for point in fixed_ratios(sizes, RATIOS)
    ]
    width, ratio = HELD_OUT
    tokens = round(ratio * params_total(plain(width, layers=2, head_dim=8).dims(CONTEXT)))
    held_out = [
        Run(RunConfig(science(width, tokens, next(seeds))), len(WIDTHS), StudyPart.HELD_OUT)
        for _ in range(HELD_OUT_SEEDS)
    ]
    return Study(
        name="quickstart",
        question="Can a few minutes on a laptop predict a run that they never saw?",
        runs=(*fitted, *held_out),
    )
