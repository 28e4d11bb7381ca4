"""A search: the fields to vary, the budgets, and the method that promotes candidates.

A search file lies in ``experiments/studies/`` (or anywhere, given by path) and defines

    def search(scale: Literal["cpu", "gpu"] = "cpu") -> Search

Its parameters are settings, as ``--set scale=gpu``. R, eta, method, promotion and every field of
the base are set alike.

The base's `budget.tokens` are the budget 1: a candidate of budget b trains on b times that. Its
seed is the sampler's too. Its schedule is constant, so a promoted candidate continues from its
checkpoint (experiments/search/promotion.py). Its warm-up has the steps of budget 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from typing import Any, Literal, get_type_hints

from experiments.config.fields import from_text
from experiments.config.overrides import assign, override, split
from experiments.config.run import RunConfig
from experiments.plan.grids import Assignment
from experiments.plan.study import check_name
from experiments.search.halving import (
    Bracket,
    Evaluate,
    Halvings,
    Promote,
    bracket_sizes,
    deepen,
    discarding,
    efficient,
    hyperband,
    last_bracket,
    preserving,
    successive_halving,
)
from experiments.search.space import Space, check_space, size
from scaling.common.errors import UserError, check_choices

MOST = 20_000  # candidates, each checked before the first is trained
OWN = ("R", "eta", "method", "promotion")  # what --set may change besides the base
PROMOTIONS: Mapping[str, Promote[RunConfig]] = {
    "efficient": efficient,
    "preserving": preserving,
    "discarding": discarding,
}


@dataclass(frozen=True)
class Search:
    """The value of `search()`."""

    name: str
    question: str
    base: RunConfig
    space: Space
    R: int  # the greatest budget
    eta: int = 3  # one in eta is promoted, to eta times the budget
    method: Literal["successive_halving", "hyperband", "deepening"] = "hyperband"
    promotion: Literal["efficient", "preserving", "discarding"] = "efficient"  # of deepening
    settings: Mapping[str, Any] = field(default_factory=dict)  # as built, overrides included
    file: str = ""  # its path, or its name in the package where the search has another

    def __post_init__(self) -> None:
        check_choices("search", self)
        check_name(self.name)
        last_bracket(self.R, self.eta)
        longer(self.base, self.tokens(Fraction(self.R)))
        check_space(self.base, self.space)
        if self.promotion != "efficient" and self.method != "deepening":
            raise UserError(
                f"promotion={self.promotion}: method={self.method} has no such rule; "
                "set method=deepening"
            )
        if self.candidates > MOST:
            raise UserError(
                f"R={self.R}, eta={self.eta}: {self.method} samples {self.candidates} candidates, "
                f"and a search holds {MOST} at most; set a smaller R or a larger eta"
            )
        if size(self.space) < self.candidates:
            raise UserError(
                f"space: {size(self.space)} candidates, and {self.method} with R={self.R}, "
                f"eta={self.eta} samples {self.candidates}; widen it, or set a smaller R"
            )
        science = self.base.science
        if science.budget.tokens < science.batch.batch_tokens:
            raise UserError(
                f"budget.tokens={science.budget.tokens}: the budget 1 of a search must be at least "
                f"one step of {science.batch.batch_tokens} tokens; set more"
            )

    @property
    def candidates(self) -> int:
        """The number of sampled candidates."""
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The candidates of each bracket, from s_max down."""
        sizes = bracket_sizes(self.R, self.eta)
        return sizes[:1] if self.method == "successive_halving" else sizes

    def tokens(self, budget: Fraction) -> int:
        return round(self.base.science.budget.tokens * budget)

    def config(self, fields: Assignment) -> RunConfig:
        return assign(self.base, fields)

    def override(self, assignments: Sequence[str]) -> Search:
        """The search, or its base, with every ``name=value`` applied."""
        own: dict[str, Any] = {}
        fields = []
        hints = get_type_hints(Search)
        for text in assignments:
            name, value = split(text)
            if name in self.space:
                raise UserError(f"--set {text}: the search varies it; leave it out")
            if name in OWN:
                own[name] = from_text(f"--set {name}", value, hints[name])
            else:
                fields.append(text)
        return replace(self, base=override(self.base, fields), **own)


def longer(config: RunConfig, tokens: int) -> RunConfig:
    """The same run with another budget and the same number of warm-up steps."""
    science = config.science
    if science.schedule.name != "constant":
        raise UserError(
            f"schedule.name={science.schedule.name}: a run can be promoted only if its rate does "
            "not depend on its length; set schedule.name=constant"
        )
    steps = max(1, round(tokens / science.batch.batch_tokens))
    if science.warmup_steps > steps:
        raise UserError(
            f"a run of {steps} steps is shorter than its warm-up of {science.warmup_steps}; raise "
            "the least budget, or lower schedule.warmup_fraction"
        )
    warmup = science.warmup_steps / steps
    return assign(config, {"budget.tokens": tokens, "schedule.warmup_fraction": warmup})


def raises(search: Search, before: Sequence[int]) -> tuple[int, ...]:
    """The greatest budgets so far, the last one R, of a search begun with those `before`.

    Raises:
        UserError: the search cannot continue to R.
    """
    if not before or before[-1] == search.R:
        return tuple(before) or (search.R,)
    if search.method != "deepening":
        raise UserError(
            f"R={search.R}: the folder holds this search with R={before[-1]}; set "
            "method=deepening to raise R, or choose another folder with --out"
        )
    reached = list(before)
    while reached[-1] < search.R:
        reached.append(reached[-1] * search.eta)
    if reached[-1] != search.R:
        raise UserError(
            f"R={search.R}: the folder holds this search with R={before[-1]}, which deepens to "
            f"{before[-1] * search.eta}, {before[-1] * search.eta**2}, ...; set one of these"
        )
    return tuple(reached)


def halve(
    search: Search,
    greatest: Sequence[int],
    candidates: Iterator[RunConfig],
    evaluate: Evaluate[RunConfig],
) -> Halvings[RunConfig]:
    """Carry the method out; `greatest` are the values of R as `raises` gives them."""
    return METHODS[search.method](search, greatest, candidates, evaluate)


def _one_bracket(
    search: Search,
    greatest: Sequence[int],
    candidates: Iterator[RunConfig],
    evaluate: Evaluate[RunConfig],
) -> Halvings[RunConfig]:
    top, (size,) = last_bracket(search.R, search.eta), search.sizes
    least = Fraction(search.R, search.eta**top)
    bracket = Bracket(least, tuple(islice(candidates, size)))
    done = successive_halving(bracket, top, search.eta, evaluate)
    return Halvings(search.R, search.eta, (done,))


def _all_brackets(
    search: Search,
    greatest: Sequence[int],
    candidates: Iterator[RunConfig],
    evaluate: Evaluate[RunConfig],
) -> Halvings[RunConfig]:
    done = hyperband(greatest[0], search.eta, candidates, evaluate)
    for _ in greatest[1:]:
        done = deepen(done, candidates, evaluate, PROMOTIONS[search.promotion])
    return done


Method = Callable[
    [Search, Sequence[int], Iterator[RunConfig], Evaluate[RunConfig]], Halvings[RunConfig]
]
METHODS: Mapping[str, Method] = {
    "successive_halving": _one_bracket,
    "hyperband": _all_brackets,
    "deepening": _all_brackets,  # and R may be raised in a folder that holds the search
}
