"""Designs as grids: the tokens of each size, one grid per rung.

A rung combines with any grid before `runs` makes the runs of a study:

    sizes = grid({"model": [model(width) for width in widths]})
    rungs = isoflop(base, sizes, [1e11, 4e11], min_ratio=10, max_ratio=200)
    runs(base, [product(rung, seeds(3)) for rung in rungs], held_out=1)

The sizes and tokens are those of scaling/designs.py. N is params_active, the parameters that a
token meets: C = 6 N D holds of no other N. Of a dense model it is params_total.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, islice

from experiments.config.run import RunConfig
from experiments.plan.branching import branch, stable_steps, trunk
from experiments.plan.grids import Grid, chain, configs, grid, product, zipped
from experiments.plan.run import Continued, Run
from experiments.record import StudyPart
from scaling import designs
from scaling.counting.formulas import params_active

Ladder = Sequence[Grid]


def isoflop(
    base: RunConfig, sizes: Grid, flops: Sequence[float], *, min_ratio: float, max_ratio: float
) -> Ladder:
    """For each budget C, every size whose D/N = C / (6 N^2) lies in the range. Rung = budget."""
    N = _params(base, sizes)
    return _rungs(sizes, designs.isoflop(N, flops, min_ratio=min_ratio, max_ratio=max_ratio))


def ladder(base: RunConfig, sizes: Grid, ratios: Sequence[Iterable[float]]) -> Ladder:
    """Size i on D = r N_i tokens for each r in ratios[i]. Rung = size."""
    return _rungs(sizes, designs.fixed_ratios(_params(base, sizes), ratios))


def over_train(base: RunConfig, sizes: Grid, optimal: float, factors: Sequence[float]) -> Ladder:
    """Every size on `factors` times the optimal D/N. Rung = factor (Gadre et al. 2024)."""
    return _rungs(sizes, designs.over_train(_params(base, sizes), optimal, factors))


def wsd(
    base: RunConfig,
    sizes: Grid,
    ratios: Sequence[Iterable[float]],
    decay_fraction: float,
    held_out: int = 0,
) -> tuple[Run, ...]:
    """The runs of `ladder`, each a cooldown branched from one stable trunk per size.

    Size i on D = r N_i tokens for each r in ratios[i]; the last `decay_fraction` are cooldown
    (Hu et al. 2024, arXiv:2404.06395; Hagele et al. 2024, arXiv:2405.18392). A trunk is as long as
    its longest branch needs, and has the seed of its branches: seeds are part of the sizes, as in
    product(widths, seeds(2)). Rung = N, in the order given; the last `held_out` rungs are held out.
    The schedule of `base` gives the warm-up of the shortest branch of each size.
    """
    N = _params(base, sizes)
    points = designs.fixed_ratios(N, ratios)
    rungs = list(dict.fromkeys(N))
    made: list[Run] = []
    for size, config in enumerate(configs(base, sizes)):
        tokens = [point.tokens for point in points if point.size == size]
        rung = rungs.index(N[size])
        part = StudyPart.FIT if rung < len(rungs) - held_out else StudyPart.HELD_OUT
        stem = trunk(config, tokens, decay_fraction)
        leaves = [branch(stem, end, decay_fraction) for end in tokens]
        first = Run(stem, rung, StudyPart.TRUNK)
        begun = (Continued(first, stable_steps(leaf.science)) for leaf in leaves)
        made += [first, *(Run(leaf, rung, part, b) for leaf, b in zip(leaves, begun, strict=True))]
    return tuple(made)


def own_seeds(rungs: Ladder, first: int = 0) -> Ladder:
    """Every run with its own seed, so that no unlucky seed looks like an effect of size."""
    counted = count(first)
    return tuple(zipped(rung, grid({"seed": islice(counted, len(rung))})) for rung in rungs)


def runs(base: RunConfig, rungs: Ladder, held_out: int = 0, label: str = "") -> tuple[Run, ...]:
    """The runs of a study or of an arm, rung by rung; the last `held_out` rungs are held out."""
    chain(*rungs)  # no run in two rungs
    fitted = len(rungs) - held_out
    return tuple(
        Run(config, rung, StudyPart.FIT if rung < fitted else StudyPart.HELD_OUT, label=label)
        for rung, rows in enumerate(rungs)
        for config in configs(base, rows)
    )


def _params(base: RunConfig, sizes: Grid) -> list[int]:
    """params_active of each size."""
    sciences = [config.science for config in configs(base, sizes)]
    return [params_active(science.model.dims(science.batch.seq_len)) for science in sciences]


def _rungs(sizes: Grid, points: Sequence[designs.Point]) -> Ladder:
    """The points of a design as one grid per rung."""
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
