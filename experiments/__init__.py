"""A config in, a record out: configs, data, the step, the trainer, sweeps and studies."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from scaling.common.packages import check_packages

if TYPE_CHECKING:
    from experiments.plan.run import Run
    from experiments.plan.study import Study
    from experiments.sweep.run_study import run

__all__ = ["Run", "Study", "run"]

_HOME = {
    "Run": "experiments.plan.run",
    "Study": "experiments.plan.study",
    "run": "experiments.sweep.run_study",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use; the record is read without JAX."""
    if name not in _HOME:
        raise AttributeError(f"module 'experiments' has no attribute '{name}'")
    check_packages("experiments")
    return getattr(importlib.import_module(_HOME[name]), name)
