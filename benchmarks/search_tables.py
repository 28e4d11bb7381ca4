"""Searches that read a released table in place of training: Hyperband against random search.

    WINDTUNNEL_DATA=../shared/data python -m benchmarks.search_tables --seeds 20

The table is Step Law's: learning rate by batch, at five sizes and two to four numbers of tokens D.
The fidelities of a size are its D, for the cells that all of them have; the score of interest is
the loss at the largest. Every evaluation is paid in full, in tokens, restarted from the beginning.
A search ends when it has found a cell within 0.1 % of the best. `experiments.search.halving` is the
searcher, and takes the table as its objective. A cell outside the table is refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pandas as pd

from analysis.datasets import load
from experiments.search.halving import bracket_sizes, hyperband
from scaling.common.errors import UserError
from scaling.common.tables import table

ETA = 2
NEAR = 1.001  # times the best loss
LEVEL = 0.95
Cell = tuple[float, float]  # lr, batch in tokens


@dataclass
class Table:
    """Losses of a size by D and cell, and the bill of what was asked."""

    tokens: list[float]
    loss: dict[float, dict[Cell, float]]
    spent: float = 0.0
    reached: float | None = None  # the bill when a near-best cell was first evaluated at full D
    known: set[tuple[float, Cell]] = field(default_factory=set)

    @property
    def cells(self) -> list[Cell]:
        return sorted(self.loss[self.tokens[-1]])

    @property
    def best(self) -> float:
        return min(self.loss[self.tokens[-1]].values())

    def ask(self, cell: Cell, at: int) -> float:
        """The loss of a cell at a fidelity; paid once.

        Raises:
            UserError: the table has no such cell.
        """
        tokens = self.tokens[at]
        if cell not in self.loss[tokens]:
            raise UserError(f"lr={cell[0]:g}, batch={cell[1]:g}: no cell of this table")
        if (tokens, cell) not in self.known:
            self.known.add((tokens, cell))
            self.spent += tokens
        found = self.loss[tokens][cell]
        near = at == len(self.tokens) - 1 and found <= NEAR * self.best
        if near and self.reached is None:
            self.reached = self.spent
        return found


def tables() -> Iterator[tuple[float, list[float], dict[float, dict[Cell, float]]]]:
    """The size, its numbers of tokens, and the losses of the cells that all of them have."""
    runs = load("steplaw")
    lr = runs["lr"].map(lambda value: float(f"{value:.1e}"))  # written with 3 or 4 digits
    runs = runs.assign(cell=list(zip(lr, runs["batch_tokens"], strict=True)))
    for size, rows in runs.groupby("params_nonembedding"):
        each = {
            float(tokens): dict(zip(part["cell"], part["loss"], strict=True))
            for tokens, part in rows.groupby("tokens")
        }
        common = set.intersection(*(set(losses) for losses in each.values()))
        loss = {tokens: {c: losses[c] for c in common} for tokens, losses in each.items()}
        yield float(size), sorted(each), loss


def random_search(objective: Table, order: Sequence[Cell]) -> None:
    """Every cell at full D, in order, until one is near the best."""
    for cell in order:
        objective.ask(cell, len(objective.tokens) - 1)
        if objective.reached is not None:
            return


def hyperbands(objective: Table, order: Sequence[Cell]) -> None:
    """Hyperband after Hyperband, with new cells, until one is near the best."""
    R = ETA ** (len(objective.tokens) - 1)
    level = {Fraction(R, ETA**at): len(objective.tokens) - 1 - at
             for at in range(len(objective.tokens))}  # fmt: skip
    left = list(order)
    while objective.reached is None and len(left) >= sum(bracket_sizes(R, ETA)):
        taken = sum(bracket_sizes(R, ETA))
        hyperband(
            R, ETA, iter(left[:taken]),
            lambda cells, budget: [objective.ask(cell, level[budget]) for cell in cells],
        )  # fmt: skip
        left = left[taken:]
    if objective.reached is None:
        random_search(objective, left)
    if objective.reached is None:  # every near-best cell was dropped at a lower fidelity
        random_search(objective, order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    rows = []
    for size, tokens, loss in tables():
        bills: dict[str, list[float]] = {"random": [], "hyperband": []}
        for seed in range(options.seeds):
            for name, search in (("random", random_search), ("hyperband", hyperbands)):
                objective = Table(tokens, loss)
                cells = objective.cells
                order = [cells[at] for at in np.random.default_rng(seed).permutation(len(cells))]
                search(objective, order)
                assert objective.reached is not None
                bills[name].append(objective.reached / tokens[-1])
        logs = np.log(np.array(bills["random"]) / np.array(bills["hyperband"]))
        draws = np.random.default_rng(0).choice(logs, (4000, len(logs))).mean(axis=1)
        low, high = np.exp(np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        last = pd.Series(loss[tokens[-1]])
        rank = pd.Series(loss[tokens[0]]).corr(last, method="spearman")
        rows.append(
            (
                f"{size:.3g}",
                f"{len(last)}",
                " ".join(f"{each:.2g}" for each in tokens),
                f"{rank:.2f}",
                f"{np.mean(bills['random']):.1f}",
                f"{np.mean(bills['hyperband']):.1f}",
                f"{np.exp(logs.mean()):.2f} [{low:.2f}, {high:.2f}]",
            )
        )
    head = ("N", "cells", "tokens", "rank corr.", "random, runs", "hyperband, runs", "speed-up")
    print(table(head, rows))


if __name__ == "__main__":
    main()
