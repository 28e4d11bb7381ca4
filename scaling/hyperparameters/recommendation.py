"""Recommendations of one law or of all laws side by side, and their spread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scaling.hyperparameters.derived_variables import counting, find, given, is_sparse, lacking
from scaling.hyperparameters.law import (
    QUANTITIES,
    Advice,
    Batch,
    Confidence,
    Experts,
    HyperparameterLaw,
    Known,
    Range,
    advise,
    check_positive,
)
from scaling.laws._values import require

_CHECKED = (Confidence.PRIMARY, Confidence.QUOTED)
_COMPARABLE = ("lr", "batch_tokens", "batch_critical", "weight_decay")
_CHOSEN = ("lr", "batch_tokens")  # chosen by the user, and variables of other rules


@dataclass(frozen=True)
class Recommendation:
    """All values of one law for one run."""

    law: HyperparameterLaw
    advice: tuple[Advice, ...]

    @property
    def values(self) -> Mapping[str, float]:
        """By quantity."""
        return {each.quantity: each.value for each in self.advice}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to doubt the values."""
        found = dict.fromkeys(text for each in self.advice for text in each.warnings)
        return tuple(f"{self.law.name}: {text}" for text in found)

    def __str__(self) -> str:
        lines = [f"{name} = {value:.4g}" for name, value in self.values.items()]
        notes = (f"{self.law.name}: {text}" for text in self.law.notes)
        return "\n".join([*lines, f"{self.law.form}; {self.law.source}", *self.warnings, *notes])


def recommend(law: HyperparameterLaw, /, **variables: float) -> Recommendation:
    """The values of `law` at exactly its own variables.

    Example: recommend(by_name("steplaw2025"), params_nonembedding=1e9, tokens=1e11).
    """
    require(law.variables, variables, f"variables of '{law.name}'")
    for name, value in variables.items():
        check_positive(name, value)
    known = {name: Known(value) for name, value in variables.items()}
    return Recommendation(law, tuple(advise(law, quantity, known) for quantity in law.rules))


def side_by_side(
    laws: Iterable[HyperparameterLaw],
    values: Mapping[str, float],
    experts: Sequence[Experts] = (Experts.TOTAL, Experts.ACTIVE),
) -> tuple[Advice, ...]:
    """Every quantity by every law that gives it, for the run that `values` describe.

    Of a mixture of experts (params_active below params_total), a law whose value depends on the
    count of N is asked by each of `experts`. An own fit has the variables that it names.

    A rule may need a learning rate or a batch that is not given. It then takes the geometric mean
    over the other laws, and the advice lists that.
    """
    laws, known = tuple(laws), given(values)
    if not is_sparse(known):
        return _all(laws, known, known)
    by_count = [_all(laws, known, counting(known, each)) for each in experts]
    return tuple(each for row in zip(*by_count, strict=True) for each in _different(row))


def _different(row: Sequence[Advice]) -> Sequence[Advice]:
    """The advice of one law by several counts; one if the count does not matter."""
    first = row[0]
    same = all(each.value == first.value or each.missing for each in row)
    return row[:1] if same else row


def _all(
    laws: Sequence[HyperparameterLaw], own: Mapping[str, Known], known: Mapping[str, Known]
) -> tuple[Advice, ...]:
    """The advice of laws that take what is given, the own fits, and of the others."""
    chosen: dict[str, Known] = {}
    first = _each(laws, own, known)
    for quantity in _CHOSEN:
        middle = spread(first, quantity, tuple(Range))
        if quantity not in known and middle is not None:
            how = f"{quantity} = {middle.mean:.3g}: the geometric mean of the published laws"
            chosen[quantity] = Known(middle.mean, (how,))
    return _each(laws, {**own, **chosen}, {**known, **chosen})


def _each(
    laws: Sequence[HyperparameterLaw], own: Mapping[str, Known], known: Mapping[str, Known]
) -> tuple[Advice, ...]:
    return tuple(
        _one(law, quantity, own if law.experts is Experts.OWN else known)
        for quantity in QUANTITIES
        for law in laws
        if quantity in law.rules
    )


def _one(law: HyperparameterLaw, quantity: str, known: Mapping[str, Known]) -> Advice:
    rule = law.rules[quantity]
    wanted = dict.fromkeys((*rule.variables, *rule.fitted_on))
    found = {name: each for name in wanted if (each := find(name, known)) is not None}
    absent = dict.fromkeys(
        need for name in rule.variables if name not in found for need in lacking(name, known)
    )
    if absent:
        why = f"needs {', '.join(absent)}"
        return Advice(law, quantity, math.nan, {}, (), missing=why)
    return advise(law, quantity, found)


def own_batch(each: Advice, advice: Iterable[Advice]) -> float | None:
    """The batch that a learning rate assumes, where the law has a rule for both."""
    if each.quantity != "lr" or each.law.batch is not Batch.OWN:
        return None
    mine = [
        x.value
        for x in advice
        if x.law is each.law
        and x.quantity == "batch_tokens"
        and (x.counted is None or x.counted is each.counted)
    ]
    return mine[0] if mine and math.isfinite(mine[0]) else None


@dataclass(frozen=True)
class Spread:
    """The spread of the laws: both ends, the geometric mean, and their number."""

    low: float
    high: float
    mean: float
    count: int

    @property
    def factor(self) -> float:
        return self.high / self.low


def spread(advice: Iterable[Advice], quantity: str, ranges: tuple[Range, ...]) -> Spread | None:
    """The spread of one quantity over published laws of checked constants and of these ranges.

    None where there is no such law. Base rates under muP have no spread: each belongs to the base
    width and the multipliers of its paper.
    """
    values = [
        each.value
        for each in advice
        if each.quantity == quantity
        and each.range in ranges
        and each.quantity in _COMPARABLE
        and each.absolute
        and each.rule.confidence in _CHECKED
        and math.isfinite(each.value)
    ]
    if not values:
        return None
    mean = math.exp(math.fsum(map(math.log, values)) / len(values))
    return Spread(min(values), max(values), mean, len(values))
