"""Optuna's tree-structured Parzen estimator (Bergstra et al. 2011).

Every candidate comes from a new study in memory of all trials so far. It depends on the seed and
the scores alone, so a resumed search draws the same as an uninterrupted one. Scores are those of
pruned trials: more tokens rank above fewer, then the smaller loss. A trial without a score counts
as running; a diverged one is worst.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from experiments.plan.grids import Assignment
from experiments.search.samplers import Tried
from experiments.search.samplers.random import candidates as at_random
from experiments.search.space import Choice, Distribution, LogUniform, Space, assignment, point


def candidates(space: Space, seed: int, tried: Collection[Tried]) -> Iterator[Assignment]:
    """Optuna's suggestions; a candidate tried before is replaced by the next random one."""
    distributions = {field: _distribution(kind) for field, kind in space.items()}
    new = at_random(space, seed, tried)
    while True:
        own_seed = random.Random(f"{seed} {len(tried)}").getrandbits(32)
        sampler = optuna.samplers.TPESampler(seed=own_seed)
        study = _quiet_study(sampler)
        study.add_trials([_trial(one, space, distributions) for one in tried])
        fields = assignment(space, study.ask(distributions).params)
        yield next(new) if any(fields == one.fields for one in tried) else fields


def _quiet_study(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(sampler=sampler)
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(kind: Distribution) -> BaseDistribution:
    if isinstance(kind, Choice):
        return CategoricalDistribution(range(len(kind.values)))
    return FloatDistribution(kind.low, kind.high, log=isinstance(kind, LogUniform))


def _trial(one: Tried, space: Space, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    return create_trial(
        state=TrialState.PRUNED if one.scores else TrialState.RUNNING,
        params=dict(point(space, one.fields)),
        distributions=distributions,
        intermediate_values={t: loss for t, loss in one.scores.items() if not math.isnan(loss)},
    )
