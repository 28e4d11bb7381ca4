"""Truths that a planned study may meet: laws with constants, errors of their form, and run noise.

    ln L_s(x) = ln L(x; theta_s) + delta_s(u),   u = ln(C / least C of the ladder)

    true            delta = 0
    bent            delta = q (u - u_max / 2)^2,          q ~ N(0, 0.0015)
    broken          delta = k ln(1 + e^(u - b)),          k ~ N(0, 0.02), b up to the target
    growing noise   delta = 0, and the sd of a run grows from s at the target to 3 s at the least C

Every other kind has the noise s. C = 6 params tokens, or the one variable of the law; u_max is of
the ladder. S studies, n runs, m targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.fitting.prediction.reach import size_of
from analysis.fitting.result import FitResult
from analysis.tables.points import Array
from scaling.common.errors import UserError
from scaling.laws import Law, Published

BEND, BREAK, GROWTH = 0.0015, 0.02, 3.0
JITTER = 0.1  # sd of ln of each constant, where no joint error is published


@dataclass(frozen=True)
class Source:
    """A law, and a draw of its constants: (count, generator) to a value of each, (count,)."""

    name: str
    law: Law
    draw: Callable[[int, np.random.Generator], Mapping[str, Array]] = field(repr=False)


def published(law: Law, constants: Published) -> Source:
    """Constants about the published ones: by their joint error, else with an sd of 10 % each."""
    names = law.parameters
    centre = np.array([constants.values[name] for name in names])
    logs = np.array([each.scale == "log" for each in law.free])

    def draw(count: int, rng: np.random.Generator) -> Mapping[str, Array]:
        if constants.covariance is None:
            drawn = centre * np.exp(rng.normal(0, JITTER, (count, len(names))))
        else:
            start = np.where(logs, np.log(np.where(logs, centre, 1.0)), centre)
            moved = rng.multivariate_normal(start, np.array(constants.covariance), size=count)
            drawn = np.where(logs, np.exp(np.where(logs, moved, 0.0)), moved)
        return dict(zip(names, drawn.T, strict=True))

    return Source(f"{law.name}:{constants.name}", law, draw)


def fitted(name: str, result: FitResult) -> Source:
    """Constants of a fit: its resamples, drawn with replacement.

    Raises:
        UserError: the fit has no resamples.
    """
    if not result.has_intervals:
        raise UserError(f"{name}: {result.no_interval}")

    def draw(count: int, rng: np.random.Generator) -> Mapping[str, Array]:
        rows = result.samples[rng.integers(len(result.samples), size=count)]
        return dict(zip(result.law.parameters, rows.T, strict=True))

    return Source(f"fit of {name}", result.law, draw)


@dataclass(frozen=True)
class Truths:
    """S truths at the n runs and the m targets: mean log losses, and the sd of one run's log loss,
    each (S, n) or (S, m)."""

    kind: str
    runs: Array
    targets: Array
    runs_sd: Array
    targets_sd: Array

    def __len__(self) -> int:
        return len(self.runs)


Error = Callable[[Array, float, float, np.random.Generator, int], Array]


def _bent(u: Array, top: float, far: float, rng: np.random.Generator, count: int) -> Array:
    return rng.normal(0, BEND, (count, 1)) * (u - top / 2) ** 2


def _broken(u: Array, top: float, far: float, rng: np.random.Generator, count: int) -> Array:
    change = rng.normal(0, BREAK, (count, 1))
    return np.asarray(change * np.logaddexp(0, u - rng.uniform(0, far, (count, 1))))


def _none(u: Array, top: float, far: float, rng: np.random.Generator, count: int) -> Array:
    return np.zeros((count, len(u)))


ERRORS: Mapping[str, Error] = {
    "true": _none,
    "bent": _bent,
    "broken": _broken,
    "growing noise": _none,
}
KINDS = tuple(ERRORS)


def truths(
    kind: str,
    sources: Sequence[Source],
    runs: Mapping[str, Array],
    targets: Mapping[str, Array],
    noise: float,
    count: int,
    seed: int = 0,
) -> Truths:
    """`count` truths of one kind, their constants drawn from all sources in turn.

    Raises:
        UserError: a law has a variable that the runs do not have, or the noise is not positive.
    """
    if not noise > 0:
        raise UserError(f"noise={noise:g}: the sd of a run's log loss must lie above 0")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    both = {name: np.append(runs[name], targets[name]) for name in runs}
    parts = [
        _means(source, both, len(range(at, count, len(sources))), rng)
        for at, source in enumerate(sources)
    ]
    mean = np.concatenate(parts)
    size = size_of(both)
    split = len(next(iter(runs.values())))
    u = np.log(size / size[:split].min())
    top, far = float(u[:split].max()), float(u.max())
    mean = mean + ERRORS[kind](u, top, far, rng, len(mean))
    grown = GROWTH ** (1 - u / far) if kind == "growing noise" and far > 0 else np.ones(len(u))
    sd = np.broadcast_to(noise * grown, mean.shape)
    return Truths(kind, mean[:, :split], mean[:, split:], sd[:, :split], sd[:, split:])


def _means(source: Source, x: Mapping[str, Array], count: int, rng: np.random.Generator) -> Array:
    """ln L of each draw at each point, (count, points)."""
    law = source.law
    if missing := [name for name in law.variables if name not in x]:
        raise UserError(
            f"law '{law.name}' is of {', '.join(law.variables)}, and the design gives "
            f"{', '.join(x)}: it lacks {', '.join(missing)}; choose another with --law"
        )
    drawn = {name: values[:, None] for name, values in source.draw(count, rng).items()}
    loss = law.predict(drawn, **{name: x[name] for name in law.variables})
    return np.log(np.broadcast_to(loss, (count, len(next(iter(x.values()))))))
