"""Designs as sweeps: what each size is trained on, one sweep per rung.

A rung can be combined with anything else before `runs` makes the runs of a study of them:

    sizes = grid({"model": [model(width) for width in widths]})
    rungs = isoflop(base, sizes, [1e11, 4e11], min_ratio=10, max_ratio=200)
    runs(base, [product(rung, seeds(3)) for rung in rungs], held_out=1)

The sizes and tokens are those of scaling/ladder.py; N is params_total.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, islice

from experiments.config import RunConfig
from experiments.record import Part
from experiments.study import Run
from experiments.sweeps import Sweep, chain, configs, grid, product, zipped
from scaling import ladder as designs
from scaling.accounting import params_total

Ladder = Sequence[Sweep]


def isoflop(
    base: RunConfig, sizes: Sweep, flops: Sequence[float], *, min_ratio: float, max_ratio: float
) -> Ladder:
    """For each budget C, every size whose D/N = C / (6 N^2) lies in the range. Rung = budget."""
    N = _params(base, sizes)
    return _rungs(sizes, designs.isoflop(N, flops, min_ratio=min_ratio, max_ratio=max_ratio))


def ladder(base: RunConfig, sizes: Sweep, ratios: Sequence[Iterable[float]]) -> Ladder:
    """Size i on D = r N_i tokens for each r in ratios[i]. Rung = size."""
    return _rungs(sizes, designs.fixed_ratios(_params(base, sizes), ratios))


def over_train(base: RunConfig, sizes: Sweep, optimal: float, factors: Sequence[float]) -> Ladder:
    """Every size on `factors` times the optimal D/N. Rung = factor (Gadre et al. 2024)."""
    return _rungs(sizes, designs.over_train(_params(base, sizes), optimal, factors))


def own_seeds(rungs: Ladder, first: int = 0) -> Ladder:
    """Every run with a seed of its own, so that no unlucky one looks like an effect of size."""
    counted = count(first)
    return tuple(zipped(rung, grid({"seed": islice(counted, len(rung))})) for rung in rungs)


def runs(base: RunConfig, rungs: Ladder, held_out: int = 0) -> tuple[Run, ...]:
    """The runs of a study, rung by rung, those of the last `held_out` rungs held out."""
    chain(*rungs)  # no run in two rungs
    fitted = len(rungs) - held_out
    return tuple(
        Run(config, rung, Part.FIT if rung < fitted else Part.HELD_OUT)
        for rung, sweep in enumerate(rungs)
        for config in configs(base, sweep)
    )


def _params(base: RunConfig, sizes: Sweep) -> list[int]:
    """N of each size, all weights counted."""
    sciences = [config.science for config in configs(base, sizes)]
    return [params_total(science.model.dims(science.batch.seq_len)) for science in sciences]


def _rungs(sizes: Sweep, points: Sequence[designs.Point]) -> Ladder:
    """The points of a design as one sweep per rung."""
    rungs = 1 + max((point.rung for point in points), default=-1)
    return tuple(
        chain(
            *(
                product((sizes[point.size],), grid({"budget.tokens": [point.tokens]}))
                for point in points
                if point.rung == rung
            )
        )
        for rung in range(rungs)
    )
