"""The parameters of one run, to be trained on: other data, other budget, another schedule.

    theta = theta_1

With `state=mapped` the optimizer's moments and counts go on too.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.operations import Arrays, Blueprint, Operation, of_count


def on(parents: Sequence[Arrays], plan: Blueprint) -> Arrays:
    return parents[0]


OPERATION = Operation(
    on, keeps=("function", "equals"), refuses=of_count(1), states=("fresh", "mapped")
)
