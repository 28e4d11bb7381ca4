"""A config in, a record out: configs, data, the step, the trainer, sweeps and studies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaling.common.packages import lazy

if TYPE_CHECKING:
    from experiments.plan.run import Run
    from experiments.plan.study import Study
    from experiments.sweep.run_study import run

__all__ = ["Run", "Study", "run"]

__getattr__ = lazy(
    __name__,
    {
        "Run": "experiments.plan.run",
        "Study": "experiments.plan.study",
        "run": "experiments.sweep.run_study",
    },
)
