"""Hyperparameter laws as frozen records, and the value that one gives for one run.

    h = coefficient * prod_k variable_k^exponent_k,   at most `highest`

A law has a rule for each quantity that it gives. It also has the definitions of its variables, the
range of the fit, the source of its constants, and an assumption about the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from scaling.common.errors import UserError, nearest
from scaling.hyperparameters.given import TUNED
from scaling.laws._law import Convention

_LARGEST = math.log(1e300)
ROUNDING = 1e-9  # relative: a run at the very end of a range is inside it

# Only values of one quantity are comparable: a base rate of muP is not the rate of a matrix, and a
# critical batch is not the batch of least loss.
QUANTITIES: Mapping[str, str] = {
    "lr": "peak learning rate of Adam, standard parametrization",
    "lr_mup": "base learning rate of Adam under muP",
    "batch_tokens": "batch of least loss, tokens",
    "batch_critical": "critical batch, above which more batch saves few steps, tokens",
    "weight_decay": "weight decay of AdamW, multiplied by the learning rate",
}

# The quantity of a run's learning rate, by its parametrization; no law covers the others.
RATES: Mapping[str, str] = {"sp": "lr", "mup": "lr_mup", "mup_variance": "lr_mup"}


class Confidence(StrEnum):
    """Sources of a rule's constants."""

    PRIMARY = "paper or its code"
    QUOTED = "quoted by others"
    RECALLED = "recalled, unchecked"  # shown, but left out of every spread
    OWN = "own fit"


class Batch(StrEnum):
    """A law's assumption about the batch."""

    OWN = "by its own rule"  # its learning rate assumes its own batch, which grows
    FIXED = "held fixed"
    VARIABLE = "as given"
    NONE = "not a matter"


class Range(StrEnum):
    """A run's place relative to the range that a rule was fitted on."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNSTATED = "not stated"


class Experts(StrEnum):
    """Parameters that a law's N counts in a mixture of experts."""

    TOTAL = "total"  # its authors hold it to models of several sparsities, by all parameters
    ACTIVE = "active"  # the parameters that a token meets
    DENSE = "dense models alone"  # its authors do not say
    OWN = "as its variables say"  # an own fit, of the variables that it names


class QuantityRule(Protocol):
    """A rule for one quantity.

    `variables` are those that it needs. `fitted_on` holds the range of each variable of the fit,
    where the source states it.
    """

    @property
    def variables(self) -> tuple[str, ...]: ...

    @property
    def fitted_on(self) -> Mapping[str, tuple[float, float]]: ...

    @property
    def confidence(self) -> Confidence: ...

    def at(self, variables: Mapping[str, float]) -> float:
        """The value; the rule gives none where it is not finite and positive."""
        ...


@dataclass(frozen=True)
class Power:
    """coefficient * prod_k variable_k^exponent_k, at most `highest`."""

    coefficient: float
    exponents: Mapping[str, float]
    highest: float = math.inf
    fitted_on: Mapping[str, tuple[float, float]] = field(default_factory=dict, kw_only=True)
    confidence: Confidence = field(kw_only=True)

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(self.exponents)

    def at(self, variables: Mapping[str, float]) -> float:
        log = math.log(self.coefficient) + math.fsum(
            power * math.log(variables[name]) for name, power in self.exponents.items()
        )
        return min(self.highest, math.exp(log) if log < _LARGEST else math.inf)


@dataclass(frozen=True)
class LogLine:
    """intercept + slope * ln variable."""

    intercept: float
    slope: float
    variable: str
    fitted_on: Mapping[str, tuple[float, float]] = field(default_factory=dict, kw_only=True)
    confidence: Confidence = field(kw_only=True)

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    def at(self, variables: Mapping[str, float]) -> float:
        return self.intercept + self.slope * math.log(variables[self.variable])


@dataclass(frozen=True)
class HyperparameterLaw:
    """A published or fitted law. `notes` name further assumptions."""

    name: str
    form: str
    rules: Mapping[str, QuantityRule]
    batch: Batch
    schedule: str
    convention: Convention
    recipe: str
    source: str
    notes: tuple[str, ...] = ()
    experts: Experts = Experts.DENSE

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables that all of its rules need."""
        return tuple(dict.fromkeys(name for rule in self.rules.values() for name in rule.variables))

    @property
    def powers(self) -> Mapping[str, Power]:
        """Its rules that are power laws."""
        return {name: rule for name, rule in self.rules.items() if isinstance(rule, Power)}

    def rule(self, quantity: str) -> QuantityRule:
        """The rule of one quantity."""
        if quantity not in self.rules:
            raise UserError(
                f"{self.name} has no law of '{quantity}': {nearest(quantity, self.rules)}"
            )
        return self.rules[quantity]


@dataclass(frozen=True)
class Reach:
    """One variable of a run beside the fitted range of a rule; nan where none is stated."""

    variable: str
    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def range(self) -> Range:
        if math.isnan(self.low):
            return Range.UNSTATED
        return Range.INSIDE if self.factor <= 1 + ROUNDING else Range.OUTSIDE

    @property
    def factor(self) -> float:
        """The ratio to the nearest end of the range; 1 inside."""
        return max(self.low / self.value, self.value / self.high, 1.0)

    def __str__(self) -> str:
        if self.range is Range.UNSTATED:
            return f"the range of {self.variable} that it was fitted on is not stated"
        away = f"{self.factor:.3g} times outside" if self.range is Range.OUTSIDE else "inside"
        return (
            f"{self.variable}={self.value:.3g} is {away} the range it was fitted on, "
            f"{self.low:.3g} to {self.high:.3g}"
        )


@dataclass(frozen=True)
class Known:
    """A variable of a run.

    Attributes:
        how: its derivation, where it was not given.
        counted: the parameters of a mixture of experts that it counts; None for all other values.
    """

    value: float
    how: tuple[str, ...] = ()
    counted: Experts | None = None


@dataclass(frozen=True)
class Advice:
    """The value of one quantity by one law.

    Attributes:
        value: nan where the law gives none; `missing` holds the reason.
        filled: derivations of variables that were not given.
        counted: the parameters of a mixture of experts that its variables count, if any does.
    """

    law: HyperparameterLaw
    quantity: str
    value: float
    variables: Mapping[str, float]
    reach: tuple[Reach, ...]
    filled: tuple[str, ...] = ()
    counted: Experts | None = None
    missing: str = ""

    @property
    def foreign(self) -> tuple[str, ...]:
        """Reasons why the law does not cover these experts."""
        if self.counted is None or self.law.experts in (self.counted, Experts.OWN):
            return ()
        if self.law.experts is Experts.DENSE:
            return (f"mixture of experts: fitted on dense models, N is params_{self.counted}",)
        return (f"its authors count {self.law.experts} parameters, N is params_{self.counted}",)

    @property
    def rule(self) -> QuantityRule:
        return self.law.rules[self.quantity]

    @property
    def absolute(self) -> bool:
        """True where the value is published, not rescaled from a tuned run of the user."""
        return not any(name.startswith(TUNED) for name in self.rule.variables)

    @property
    def range(self) -> Range:
        """Outside if any variable is, and inside only if every variable is known to be."""
        found = {each.range for each in self.reach}
        if self.foreign or Range.OUTSIDE in found:
            return Range.OUTSIDE
        return Range.INSIDE if found == {Range.INSIDE} else Range.UNSTATED

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to doubt the value; empty for a checked rule inside its range."""
        beyond = [str(each) for each in self.reach if each.range is not Range.INSIDE]
        recalled = self.rule.confidence is Confidence.RECALLED
        return (
            *beyond,
            *self.foreign,
            *(("its constants are recalled and were not checked",) if recalled else ()),
        )


def advise(law: HyperparameterLaw, quantity: str, known: Mapping[str, Known]) -> Advice:
    """The value of `quantity` by `law`.

    Every variable of the rule must be known. Variables that only its range names may be.
    """
    rule = law.rule(quantity)
    wanted = dict.fromkeys((*rule.variables, *rule.fitted_on))
    used = {name: known[name] for name in wanted if name in known}
    variables = {name: each.value for name, each in used.items()}
    value = rule.at(variables)
    usable = math.isfinite(value) and value > 0
    return Advice(
        law=law,
        quantity=quantity,
        value=value if usable else math.nan,
        variables=variables,
        reach=tuple(
            Reach(name, each, *rule.fitted_on.get(name, (math.nan, math.nan)))
            for name, each in variables.items()
        ),
        filled=_flat(each.how for each in used.values()),
        counted=next((each.counted for each in used.values() if each.counted), None),
        missing="" if usable else f"gives no {quantity} here",
    )


def farthest(advice: Advice) -> float:
    """The largest `Reach.factor` of the variables; 1 inside the range."""
    outside = (each.factor for each in advice.reach if each.range is Range.OUTSIDE)
    return max(outside, default=1.0)


def _flat(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for group in groups for text in group))


def check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{name}={value!r}: must be finite and positive")
