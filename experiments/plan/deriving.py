"""Runs from runs: the door of a study file to `Derived`.

    experts = [derived(base, "continue", data=only(domain), tokens=2e6) for domain in domains]
    merged = [derived(subset, "ties", keep=0.2, tokens=0) for subset in subsets(experts, 3)]

A name of the config changes the child: a section (`data`, `model`), `tokens`, `lr`, `wd`, `bs`, or
a path in a mapping (`**{"schedule.name": "constant"}`). Any other name is a setting of the
operation; `state` says what becomes of the optimizer's. All else is as in the first parent.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import Any

from experiments.config.fields import field_types
from experiments.config.overrides import ALIASES, assign, paths
from experiments.config.run import Science
from experiments.plan.run import Derived, Run
from experiments.record import StudyPart
from scaling.common.errors import UserError

NAMES = {**ALIASES, "tokens": "budget.tokens"}


def derived(
    parents: Run | Sequence[Run],
    operation: str,
    *,
    at: Sequence[int] = (),
    label: str = "",
    rung: int | None = None,
    part: StudyPart = StudyPart.FIT,
    **given: Any,
) -> Run:
    """The run that begins with an operation on its parents; pure, like any plan.

    Args:
        at: the step of a kept checkpoint for each parent; by default the end of each.
        rung: by default the first parent's.
        given: changed fields of the first parent's config, and settings of the operation.

    Raises:
        UserError: no parents, or a field of the config that refuses its value.
    """
    runs = (parents,) if isinstance(parents, Run) else tuple(parents)
    if not runs:
        raise UserError(f"operation '{operation}': no parents; give at least one run")
    changes = {NAMES.get(name, name): value for name, value in given.items() if is_field(name)}
    if isinstance(tokens := changes.get("budget.tokens"), float):
        changes["budget.tokens"] = round(tokens)
    config = assign(runs[0].config, {"execution.permanent": (), **changes})
    settings = {name: value for name, value in given.items() if not is_field(name)}
    beginning = Derived(runs, operation, settings, tuple(at))
    return Run(config, runs[0].rung if rung is None else rung, part, beginning, label)


def is_field(name: str) -> bool:
    """True for a section or a path of the config, or its short name."""
    return name in NAMES or name in field_types(Science) or name in paths()


def subsets(
    runs: Sequence[Run], size: int, most: int | None = None, seed: int = 0
) -> list[tuple[Run, ...]]:
    """Subsets of so many runs: all of them, or at most `most` distinct ones, drawn at random."""
    found = list(combinations(runs, size))
    if most is not None and most < comb(len(runs), size):
        found = random.Random(seed).sample(found, most)
    return found
