"""The start of a derived run: an operation on its parents' parameters.

A parent gives the parameters that it is evaluated by: its last, or their average.
"""

from __future__ import annotations

from typing import Any

import jax

from experiments import operations
from experiments.plan.run import Derived
from experiments.runs.job import Job
from experiments.training.export import from_arrays, parameters
from experiments.training.hypers import hypers
from experiments.training.step import TrainState, fresh_state, recipe


def derived_state(job: Job, derived: Derived, like: TrainState) -> TrainState:
    """The state before the first step, placed as `like` is.

    Raises:
        UserError: a parent is not completed, or the result does not fit the model.
    """
    science = job.run.config.science
    arrays = [parameters(job.folder.parent / parent.run_id)[-1] for parent in derived.parents]
    made = recipe(job.run.config)
    result = operations.apply(derived.operation, arrays, derived.settings)
    params = from_arrays(made, result, f"operation '{derived.operation}'")
    state = jax.jit(lambda h, p: fresh_state(made, h, p))(hypers(science), params)

    def placed(leaf: Any, at: Any) -> Any:
        return jax.device_put(leaf, at.sharding)

    found: TrainState = jax.tree.map(placed, state, like)
    return found
