"""Successive halving, Hyperband and its iterative deepening: which candidates train on.

A bracket starts n candidates on a budget r. Each of s promotions takes the best 1/eta of them to
eta times the budget. Hyperband (Li et al. 2018, arXiv:1603.06560) with a greatest budget R runs the
brackets s = s_max .. 0, s_max = floor(log_eta R),

    n_s = ceil((s_max + 1) eta^s / (s + 1)),    r_s = R eta^-s,    n_s eta^-i go to rung i.

Iterative deepening raises R to eta R after the fact. An old bracket keeps its least budget and its
candidates and gets one promotion more; a new bracket starts at the new R. Each samples up to its
n_s, and no score is evaluated twice. The promotion rule decides on candidates that the smaller R
had dropped: `efficient`, `preserving`, `discarding`.

Only bookkeeping: `evaluate(candidates, budget)` gives the scores. Smaller is better, and NaN
(diverged) is worst. Budgets are fractions, so equal budgets compare equal under any R.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Generic, TypeVar

from scaling.common.errors import UserError

C = TypeVar("C", bound=Hashable)
Scores = Mapping[C, float]
Evaluate = Callable[[Sequence[C], Fraction], Sequence[float]]
# (rung, places, scores at this budget, scores at the next) -> promoted candidates
Promote = Callable[[Sequence[C], int, Scores[C], Scores[C]], Sequence[C]]


@dataclass(frozen=True)
class Bracket(Generic[C]):
    """One successive halving: its least budget, its candidates, and the scores of each budget."""

    least: Fraction
    candidates: tuple[C, ...] = ()
    scores: Mapping[Fraction, Scores[C]] = field(default_factory=dict)

    @property
    def cost(self) -> Fraction:
        """The sum of all evaluated budgets, as if each were trained from the start."""
        return sum((budget * len(row) for budget, row in self.scores.items()), Fraction(0))


@dataclass(frozen=True)
class Halvings(Generic[C]):
    """A search's state: the greatest budget, eta, and the brackets, of a Hyperband s_max .. 0."""

    R: int
    eta: int
    brackets: tuple[Bracket[C], ...]

    @property
    def cost(self) -> Fraction:
        return sum((bracket.cost for bracket in self.brackets), Fraction(0))

    @property
    def best(self) -> C:
        """The best candidate at the greatest budget."""
        scores: dict[C, float] = {}
        for bracket in self.brackets:
            scores |= bracket.scores[Fraction(self.R)]
        return _best(list(scores), 1, scores)[0]


def last_bracket(R: int, eta: int) -> int:
    """s_max = floor(log_eta R), in integers: the quotient of logarithms gives 4 for 243 and 3."""
    if eta < 2 or R < 1:
        raise UserError(f"R={R}, eta={eta}: R must be at least 1 and eta at least 2")
    s = 0
    while eta ** (s + 1) <= R:
        s += 1
    return s


def bracket_sizes(R: int, eta: int) -> tuple[int, ...]:
    """n_s for s = s_max .. 0; their sum is the candidates that a Hyperband samples."""
    top = last_bracket(R, eta)
    return tuple(-(-(top + 1) * eta**s // (s + 1)) for s in range(top, -1, -1))


def efficient(rung: Sequence[C], places: int, here: Scores[C], above: Scores[C]) -> Sequence[C]:
    """Candidates with a score at the next budget come first, then the best of the others."""
    ahead = [c for c in rung if c in above]
    others = [c for c in rung if c not in above]
    return [*ahead, *_best(others, len(others), here)][:places]


def preserving(rung: Sequence[C], places: int, here: Scores[C], above: Scores[C]) -> Sequence[C]:
    """The best of all ever scored at this budget; a dropped candidate may come back."""
    listed = set(rung)
    return _best([*rung, *(c for c in here if c not in listed)], places, here)


def discarding(rung: Sequence[C], places: int, here: Scores[C], above: Scores[C]) -> Sequence[C]:
    """The best of this rung; a dropped candidate stays out."""
    return _best(rung, places, here)


def successive_halving(
    bracket: Bracket[C],
    promotions: int,
    eta: int,
    evaluate: Evaluate[C],
    promote: Promote[C] = discarding,
) -> Bracket[C]:
    """The bracket with `promotions` + 1 rungs evaluated; known scores are used as they are."""
    scores = {budget: dict(row) for budget, row in bracket.scores.items()}
    rung: Sequence[C] = bracket.candidates
    for i in range(promotions + 1):
        budget = bracket.least * eta**i
        here = scores.setdefault(budget, {})
        if missing := [c for c in rung if c not in here]:
            here.update(zip(missing, evaluate(missing, budget), strict=True))
        rung = promote(rung, len(rung) // eta, here, scores.get(budget * eta, {}))
    return Bracket(bracket.least, bracket.candidates, scores)


def hyperband(R: int, eta: int, candidates: Iterator[C], evaluate: Evaluate[C]) -> Halvings[C]:
    """Hyperband from the start. Each bracket takes its candidates from the iterator."""
    top = last_bracket(R, eta)
    empty = tuple(Bracket[C](Fraction(R, eta**s)) for s in range(top, -1, -1))
    return _run(Halvings(R, eta, empty), candidates, evaluate, discarding)


def deepen(
    search: Halvings[C], candidates: Iterator[C], evaluate: Evaluate[C], promote: Promote[C]
) -> Halvings[C]:
    """The same search with R raised to eta R: Iterative Deepening Hyperband."""
    R = search.R * search.eta
    brackets = (*search.brackets, Bracket[C](Fraction(R)))
    return _run(Halvings(R, search.eta, brackets), candidates, evaluate, promote)


def _run(
    search: Halvings[C], candidates: Iterator[C], evaluate: Evaluate[C], promote: Promote[C]
) -> Halvings[C]:
    """Fill every bracket up to its size, and halve it."""
    R, eta = search.R, search.eta
    top = last_bracket(R, eta)
    brackets = []
    for s, size, bracket in zip(
        range(top, -1, -1), bracket_sizes(R, eta), search.brackets, strict=True
    ):
        held = bracket.candidates
        new = tuple(islice(candidates, size - len(held)))
        if len(held) + len(new) < size:
            raise UserError(
                f"hyperband with R={R}, eta={eta} samples {sum(bracket_sizes(R, eta))} candidates; "
                "there are too few"
            )
        if len({*held, *new}) < size:
            raise UserError(f"bracket {s}: a candidate was sampled twice; sample without repeats")
        filled = Bracket(bracket.least, (*held, *new), bracket.scores)
        brackets.append(successive_halving(filled, s, eta, evaluate, promote))
    return Halvings(R, eta, tuple(brackets))


def _best(candidates: Sequence[C], places: int, scores: Scores[C]) -> Sequence[C]:
    """The first `places` in order of score; ties keep their order, NaN comes last."""

    def key(candidate: C) -> float:
        return math.inf if math.isnan(scores[candidate]) else scores[candidate]

    return sorted(candidates, key=key)[:places]
