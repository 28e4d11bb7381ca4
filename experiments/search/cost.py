"""Cost of a search: planned rung by rung before it, summed over its runs after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from experiments.config.run import RunConfig
from experiments.plan.run import Run
from experiments.search.halving import last_bracket
from experiments.search.plan import Search, longer


@dataclass(frozen=True)
class Cost:
    """Budgets, the tokens of their whole steps, and FLOPs."""

    units: Fraction = Fraction(0)
    tokens: float = 0.0
    flops_model: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.units + other.units,
            self.tokens + other.tokens,
            self.flops_model + other.flops_model,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(times * self.units, times * self.tokens, times * self.flops_model)


@dataclass(frozen=True)
class SearchRung:
    """Candidates of a bracket at a budget, with the cost of each.

    `from_start` trains one from its first step, `from_below` from its checkpoint of the rung below.
    """

    bracket: int
    budget: Fraction
    candidates: int
    from_start: Cost
    from_below: Cost


@dataclass(frozen=True)
class Totals:
    """Cost of the same scores in three ways."""

    resumed: Cost  # promoted candidates continue from their checkpoints
    restarted: Cost  # promoted candidates start again
    everything: Cost  # all candidates are trained to R


def rungs(search: Search) -> tuple[SearchRung, ...]:
    """Every rung of every bracket; of a deepening, after the last raise of R.

    The FLOPs are those of the base.
    """
    top = last_bracket(search.R, search.eta)
    made = []
    for s, size in zip(range(top, -1, -1), search.sizes, strict=False):
        below = Cost()
        for i in range(s + 1):
            budget = Fraction(search.R) / search.eta ** (s - i)
            cost = _cost(search, search.base, budget)
            made.append(SearchRung(s, budget, size // search.eta**i, cost, cost + below * -1))
            below = cost
    return tuple(made)


def planned(search: Search) -> Totals:
    """The cost of the planned rungs."""
    plan = rungs(search)
    return Totals(
        sum((rung.from_below * rung.candidates for rung in plan), Cost()),
        sum((rung.from_start * rung.candidates for rung in plan), Cost()),
        _cost(search, search.base, Fraction(search.R)) * search.candidates,
    )


def spent(search: Search, runs: Mapping[tuple[RunConfig, Fraction], Run]) -> Totals:
    """The cost of the trained runs; a diverged one counts as if trained to its end."""
    furthest = dict(sorted(runs, key=lambda key: key[1]))
    return Totals(
        sum((_cost(search, *last) for last in furthest.items()), Cost()),
        sum((_cost(search, *key) for key in runs), Cost()),
        sum((_cost(search, one, Fraction(search.R)) for one in furthest), Cost()),
    )


def _cost(search: Search, candidate: RunConfig, budget: Fraction) -> Cost:
    ledger = Run(longer(candidate, search.tokens(budget)), rung=0).ledger
    return Cost(budget, ledger["tokens"], ledger["flops_model"])
