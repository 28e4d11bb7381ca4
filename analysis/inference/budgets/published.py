"""Plan of a budget from published constants: N*, D*, D/N and the loss, each with an interval.

Intervals come from draws of the constants from the normal law with their published covariance.
Without a covariance there is none: marginal intervals of correlated constants determine no
prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.types import LEVEL
from analysis.tables.points import Array
from scaling.common.answers import Ranged
from scaling.common.errors import UserError
from scaling.laws import Law, Published

DRAWS = 10_000


@dataclass(frozen=True)
class Plan:
    """The least loss at C = 6 params tokens = `flops`; ends are nan where no interval is known."""

    flops: float
    params: Ranged
    tokens: Ranged
    tokens_per_param: Ranged
    loss: Ranged


def plan_published(law: Law, constants: Published, flops: float, level: float = LEVEL) -> Plan:
    """The plan that published constants give."""
    if not (np.isfinite(flops) and flops > 0):
        raise UserError(f"flops={flops:g}: a compute budget must be finite and positive")
    best = _split(law, constants.values, flops)
    if constants.covariance is None:
        lost = (float("nan"), float("nan"))
        return Plan(flops, *((float(value), *lost) for value in best))
    drawn = _split(law, _draws(law, constants, constants.covariance), flops)
    ends = [percentile_interval(each, level) for each in drawn]
    return Plan(
        flops,
        *((float(at), float(low), float(high)) for at, (low, high) in zip(best, ends, strict=True)),
    )


def _split(law: Law, params: object, flops: float) -> tuple[Array, Array, Array, Array]:
    size, data = law.optimal(params, flops)  # type: ignore[arg-type]
    return size, data, data / size, law.predict(params, params=size, tokens=data)  # type: ignore[arg-type]


def _draws(
    law: Law, constants: Published, covariance: tuple[tuple[float, ...], ...]
) -> dict[str, Array]:
    values = constants.values
    centre = [np.log(values[p.name]) if p.scale == "log" else values[p.name] for p in law.free]
    drawn = np.random.default_rng(0).multivariate_normal(centre, np.array(covariance), size=DRAWS)
    return {
        each.name: np.exp(column) if each.scale == "log" else column
        for each, column in zip(law.free, drawn.T, strict=True)
    }
