"""Many tables of the same points, each with losses of its own, fitted as one batch.

A member of the batch is a weighting of one table. Its row holds n weights, and beside them n
differences of its log losses from their mean over the tables, so that the solver takes members in
and out as it does weightings. Every member has one start and no scan: tables of simulated studies
begin near their truth. S tables, R weightings of each, n points.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.fitting.solvers.additive import Problem
from analysis.fitting.solvers.engine import Ends, Scales
from analysis.fitting.solvers.newton import Solution, best_of, blocks
from analysis.fitting.solvers.objective import Objective
from analysis.fitting.solvers.relations import representable
from analysis.tables.points import Array, Points
from scaling.common.errors import UserError
from scaling.laws import Law

BATCH = 1 << 20  # numbers per array in a block of tables


class Tables(Problem):
    """The points of all tables; a member's row is (weights, ln L - mean ln L)."""

    def members(self, weights: Array) -> tuple[Array, Array]:
        n = self.y.size
        return weights[:, :n], self.y + weights[:, n:]


def fit_tables(
    law: Law, points: Points, objective: Objective, logs: Array, weights: Array, start: Array
) -> list[Ends]:
    """The ends of each table, log losses (S, n), under each weighting (R, n), from the values
    `start` (P,).

    Raises:
        UserError: the law is no sum of power laws.
    """
    if not (law.terms and objective.log and representable(law)):
        raise UserError(
            f"law '{law.name}' is no sum of power laws, which alone are fitted many at a time: "
            "choose one such as chinchilla"
        )
    scales = Scales.of(law, replace(points, loss=np.exp(logs.mean(axis=0))), objective)
    plain = scales.problem
    problem = Tables(plain.z, plain.y, plain.offset_terms, plain.delta, plain.relations)
    apart = logs - problem.y
    free = scales.to_free(start)
    found: list[Ends] = []
    for block in blocks(len(logs), weights.size, BATCH):
        members = len(apart[block]) * len(weights)
        rows = np.concatenate(
            [
                np.tile(weights, (len(apart[block]), 1)),
                np.repeat(apart[block], len(weights), axis=0),
            ],
            axis=1,
        )
        starts = np.broadcast_to(free, (members, 1, free.size))
        ends = best_of(problem, rows, starts, objective.delta)
        for at in range(0, members, len(weights)):
            part = slice(at, at + len(weights))
            found.append(
                scales.ends(Solution(ends.theta[part], ends.value[part], ends.certified[part]))
            )
    return found
