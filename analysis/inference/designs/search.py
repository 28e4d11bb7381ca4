"""The ladder that buys the narrowest honest interval at a target for a budget.

    minimise over ladders of cost <= budget:   half the expected interval score   (`expected`)

Runs take cells of a grid, sizes by tokens per parameter; a cell may be taken by several seeds. The
search begins at the geometric ladder and exchanges: each run in turn moves to its best cell, or is
left out, and then runs are added while they pay. The cost of a run is its compute, 6 N D.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.inference.designs.expected import Expected, Grid, expected, grid
from analysis.inference.designs.simulate import Ladder
from analysis.inference.designs.truths import KINDS, Source, truths
from analysis.tables.points import Array
from scaling.common.errors import UserError
from scaling.laws import Law

TRUTHS = 6  # of each kind, behind every expectation
SIZES, RATIOS = 12, 7  # cells
GEOMETRIC = (5, 4)  # sizes, and ratios of each, of the geometric ladder
PASSES = 8
LEAST_SPAN = 1.5  # of the sizes of a ladder
WORTH = 1e-3  # a change that lowers the score by less, in relative terms, is none


@dataclass(frozen=True)
class Space:
    """Sizes and ratios (tokens per parameter) that runs may have, in increasing order, and the
    least tokens of a run."""

    sizes: Array
    ratios: Array
    least_tokens: float = 0.0

    @classmethod
    def between(cls, least: float, most: float, ratios: Sequence[float], tokens: float) -> Space:
        """Twelve sizes by seven ratios, evenly in logs, of at least some tokens."""
        grid = np.geomspace(ratios[0], ratios[1], RATIOS)
        return cls(np.geomspace(least, most, SIZES), grid, tokens)

    @property
    def cells(self) -> dict[str, Array]:
        """Params and tokens of every cell, size by size, (G,)."""
        params = np.repeat(self.sizes, len(self.ratios))
        return {"params": params, "tokens": params * np.tile(self.ratios, len(self.sizes))}


@dataclass(frozen=True)
class Design:
    """A ladder, its cost in FLOPs, and the expected interval at the target."""

    ladder: Ladder
    cost: float
    expected: Expected


@dataclass(frozen=True)
class Rung:
    """The runs of one size: the expectation when the ladder ends with it, None where no fit is
    possible yet."""

    params: float
    runs: tuple[tuple[float, int], ...]  # tokens, and the number of seeds
    cost: float
    spent: float
    expected: Expected | None


@dataclass(frozen=True)
class Search:
    """The best design found, rung by rung in the order of training, and its best next run."""

    best: Design
    rungs: tuple[Rung, ...]
    next_params: float
    next_tokens: float
    next_expected: Expected

    @property
    def next_cost(self) -> float:
        return 6 * self.next_params * self.next_tokens


def geometric(law: Law, space: Space, budget: float, largest: float | None = None) -> Ladder:
    """Five sizes, evenly in logs from the least up, each at four ratios: the cost is the budget.

    Where a largest run is given that such a ladder exceeds, sizes end there, and every run is
    repeated by seeds as often as the budget allows.
    """
    count, each = GEOMETRIC
    low_ratio, high_ratio = space.ratios[0], space.ratios[-1]

    def runs(span: float) -> tuple[Array, Array]:
        sizes = space.sizes[0] * np.exp(np.linspace(0, span, count))
        least = np.minimum(np.maximum(low_ratio, space.least_tokens / sizes), high_ratio)
        ratios = np.geomspace(least, np.full(count, high_ratio), each, axis=1)
        return np.repeat(sizes, each), (sizes[:, None] * ratios).ravel()

    def cost(span: float) -> float:
        params, tokens = runs(span)
        return float(6 * params @ tokens)

    low, high = 0.0, float(np.log(1e12))
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(middle) < budget else (low, middle)
    if low < np.log(LEAST_SPAN):
        raise UserError(
            f"budget {budget:.3g} FLOPs: too little for a ladder of {count} sizes from "
            f"{space.sizes[0]:.3g} parameters up; raise it, or give smaller --sizes"
        )
    top = float(np.log(largest / (6 * high_ratio)) / 2 - np.log(space.sizes[0])) if largest else low
    span = min(low, top)
    seeds = max(1, int(budget / cost(span) * (1 + 1e-9)))
    params, tokens = (np.repeat(values, seeds) for values in runs(span))
    rung = np.repeat(np.arange(count), each * seeds)
    return Ladder(law, {"params": params, "tokens": tokens}, rung)


def search(
    law: Law,
    space: Space,
    target: Mapping[str, float],
    budget: float,
    sources: Sequence[Source],
    noise: float,
    largest: float | None = None,
    seed: int = 0,
) -> Search:
    """The design of the least expected score. No run has more compute than `largest`, half the
    budget if that is not given, and none as much as the target.

    Raises:
        UserError: the target costs no more than the budget and no largest run is given, or no
            ladder fits into the budget.
    """
    aim = 6 * target["params"] * target["tokens"]
    if aim <= budget and largest is None:
        raise UserError(
            f"the target costs {aim:.3g} FLOPs and the budget is {budget:.3g}: train the target, "
            "or say with --largest how large a run may be"
        )
    first = geometric(law, space, budget, largest)
    cells = space.cells
    both = {name: np.append(cells[name], target[name]) for name in cells}
    kinds = [
        truths(kind, sources, first.variables, both, noise, TRUTHS, seed=seed) for kind in KINDS
    ]
    most = min(largest or budget / 2, aim)
    board = _Board(grid(first, cells, target, kinds), space, budget, most)
    runs = board.nearest(first)
    for _ in range(PASSES):
        before = board.score(runs)
        runs = board.add(board.exchange(runs))
        if board.score(runs) > before * (1 - WORTH):
            break
    found = board.expect(runs)
    if found is None:
        raise UserError(f"budget {budget:.3g} FLOPs: no ladder of these sizes can be fitted")
    ladder = board.ladder(law, runs)
    after, there = board.best_more(runs)
    return Search(
        best=Design(ladder, float(ladder.compute.sum()), found),
        rungs=tuple(board.steps(runs)),
        next_params=float(cells["params"][after]),
        next_tokens=float(cells["tokens"][after]),
        next_expected=there,
    )


class _Board:
    """Cells with a price, and the score of runs on them; scores are kept."""

    def __init__(self, grid: Grid, space: Space, budget: float, largest: float) -> None:
        self.grid, self.space, self.budget = grid, space, budget
        self.price = grid.compute[:-1]
        self.open = np.flatnonzero(
            (self.price <= largest * (1 + 1e-9))
            & (self.price < grid.compute[-1])
            & (grid.tokens[:-1] >= space.least_tokens)
        )
        self.known: dict[bytes, Expected | None] = {}
        if not self.open.size:
            raise UserError(
                f"no size and ratio has a run below {largest:.3g} FLOPs and the target, of at "
                f"least {space.least_tokens:g} tokens; raise --largest, or give smaller --sizes"
            )

    def expect(self, runs: NDArray[np.intp]) -> Expected | None:
        runs = np.sort(runs)
        if runs.tobytes() not in self.known:
            found = expected(self.grid, runs, runs // len(self.space.ratios))
            self.known[runs.tobytes()] = found
        return self.known[runs.tobytes()]

    def score(self, runs: NDArray[np.intp]) -> float:
        found = self.expect(runs)
        return np.inf if found is None else found.score

    def nearest(self, ladder: Ladder) -> NDArray[np.intp]:
        """The cells nearest to a ladder, without the dearest runs that the budget does not hold."""
        cells = np.log(np.stack(list(self.space.cells.values())))[:, self.open]
        at = np.log(np.stack([ladder.variables[name] for name in self.space.cells]))
        apart = ((at[:, :, None] - cells[:, None]) ** 2).sum(axis=0)
        runs = self.open[apart.argmin(axis=1)]
        while self.price[runs].sum() > self.budget:
            runs = np.delete(runs, self.price[runs].argmax())
        return runs

    def exchange(self, runs: NDArray[np.intp]) -> NDArray[np.intp]:
        """Each run in turn in its best cell, or left out."""
        for at in range(len(runs) - 1, -1, -1):
            others = np.delete(runs, at)
            left = self.budget - self.price[others].sum()
            options = [others, *(np.append(others, g) for g in self.open if self.price[g] <= left)]
            best = min(options, key=self.score)
            if self.score(best) < self.score(runs) * (1 - WORTH):
                runs = best if len(best) < len(runs) else np.insert(others, at, best[-1])
        return runs

    def add(self, runs: NDArray[np.intp]) -> NDArray[np.intp]:
        """Runs while they pay, and the budget lasts."""
        while True:
            left = self.budget - self.price[runs].sum()
            options = [np.append(runs, g) for g in self.open if self.price[g] <= left]
            best = min(options, key=self.score, default=runs)
            if not self.score(best) < self.score(runs) * (1 - WORTH):
                return runs
            runs = best

    def best_more(self, runs: NDArray[np.intp]) -> tuple[int, Expected]:
        """The next run that lowers the score most for its cost, and the expectation with it."""
        now = self.score(runs)

        def pays(g: int) -> float:
            return (now - self.score(np.append(runs, g))) / float(self.price[g])

        best = max(map(int, self.open), key=pays)
        found = self.expect(np.append(runs, best))
        assert found is not None
        return best, found

    def ladder(self, law: Law, runs: NDArray[np.intp]) -> Ladder:
        runs = np.sort(runs)
        rung = np.unique(runs // len(self.space.ratios), return_inverse=True)[1]
        chosen = {name: cells[runs] for name, cells in self.space.cells.items()}
        return Ladder(law, chosen, rung)

    def steps(self, runs: NDArray[np.intp]) -> Iterator[Rung]:
        """Rungs from the smallest size up."""
        runs, cells = np.sort(runs), self.space.cells
        size = runs // len(self.space.ratios)
        for each in np.unique(size):
            here, upto = runs[size == each], runs[size <= each]
            taken, seeds = np.unique(here, return_counts=True)
            yield Rung(
                params=float(self.space.sizes[each]),
                runs=tuple(zip(cells["tokens"][taken].tolist(), seeds.tolist(), strict=True)),
                cost=float(self.price[here].sum()),
                spent=float(self.price[upto].sum()),
                expected=self.expect(upto),
            )
