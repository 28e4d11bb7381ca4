"""law.json: a fitted hyperparameter law, so that the next study can follow it.

    {"format": "hyperparameter_law", "version": 1, "name": "mine", "batch": "by its own rule",
     "schedule": "...", "convention": {"params": ..., "tokens": ..., "loss": ...},
     "recipe": "...", "source": "...", "notes": [...],
     "rules": {"lr": {"coefficient": 2.1, "exponents": {"params_nonembedding": -0.7, "tokens": 0.3},
                      "fitted_on": {"params_nonembedding": [1e5, 1e7], "tokens": [1e7, 1e9]}}},
     "resamples": {"lr": {"units": 20, "scatter": 0.01, "logs": [[0.7, -0.7, 0.3], ...]}}}

`analysis` writes the file and reads the resamples of the fit, which give intervals; a study reads
the rules alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from scaling.common.errors import nearest
from scaling.common.files import decode
from scaling.hyperparameters.law import (
    QUANTITIES,
    Batch,
    Confidence,
    Experts,
    HyperparameterLaw,
    Power,
)
from scaling.laws._law import Convention

REMEDY = "write one with analysis.hyperparameters.save_law"


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file: typed, and no field beside the named ones."""


class PowerEntry(_Entry, frozen=True, kw_only=True):
    """coefficient * prod_k variable_k^exponent_k, fitted on [low, high] of each variable."""

    coefficient: Annotated[float, msgspec.Meta(gt=0)]
    exponents: Mapping[str, float]
    fitted_on: Mapping[str, tuple[float, float]]

    def __post_init__(self) -> None:
        for name, (low, high) in self.fitted_on.items():
            if not 0 < low <= high:
                raise ValueError(f"fitted_on.{name}=[{low:g}, {high:g}]: give 0 < low <= high")


class ConventionEntry(_Entry, frozen=True, kw_only=True):
    """Units of a law's variables and of its loss, in words."""

    params: str
    tokens: str
    loss: str


class Resamples(_Entry, frozen=True, kw_only=True):
    """Bootstrap of one rule: [ln coefficient, exponents] of each resample of `units` optima."""

    units: int
    scatter: float | None
    logs: tuple[tuple[float, ...], ...]


class LawFile(_Entry, frozen=True, kw_only=True, tag_field="format", tag="hyperparameter_law"):
    """The whole file; rules and resamples go by quantity."""

    version: Literal[1]
    name: str
    batch: Batch
    schedule: str
    convention: ConventionEntry
    recipe: str
    source: str
    notes: tuple[str, ...]
    rules: Annotated[Mapping[str, PowerEntry], msgspec.Meta(min_length=1)]
    resamples: Mapping[str, Resamples] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for quantity in self.rules:
            if quantity not in QUANTITIES:
                raise ValueError(f"rules.{quantity}: {nearest(quantity, QUANTITIES)}")


def from_law(law: HyperparameterLaw, resamples: Mapping[str, Resamples]) -> LawFile:
    """Make the file of a fitted law; only rules that are powers are kept."""
    units = law.convention
    return LawFile(
        version=1,
        name=law.name,
        batch=law.batch,
        schedule=law.schedule,
        convention=ConventionEntry(params=units.params, tokens=units.tokens, loss=units.loss),
        recipe=law.recipe,
        source=law.source,
        notes=law.notes,
        rules={
            quantity: PowerEntry(
                coefficient=rule.coefficient, exponents=rule.exponents, fitted_on=rule.fitted_on
            )
            for quantity, rule in law.powers.items()
        },
        resamples=resamples,
    )


def to_law(file: LawFile) -> HyperparameterLaw:
    """Make the law of a file; its rules are own fits without a cap."""
    units = file.convention
    return HyperparameterLaw(
        name=file.name,
        form="; ".join(_form(quantity, rule) for quantity, rule in file.rules.items()),
        rules={
            quantity: Power(
                rule.coefficient,
                rule.exponents,
                fitted_on=rule.fitted_on,
                confidence=Confidence.OWN,
            )
            for quantity, rule in file.rules.items()
        },
        batch=file.batch,
        schedule=file.schedule,
        convention=Convention(params=units.params, tokens=units.tokens, loss=units.loss),
        recipe=file.recipe,
        source=file.source,
        notes=file.notes,
        experts=Experts.OWN,
    )


def parse(text: bytes, where: str) -> LawFile:
    """Parse the content of a file; `where` begins an error.

    Raises:
        UserError: it is not JSON, or a field is unknown, missing, ill-typed or out of range.
    """
    return decode(text, LawFile, where, REMEDY)


def _form(quantity: str, rule: PowerEntry) -> str:
    powers = "".join(f" {name}^{power:.3f}" for name, power in rule.exponents.items())
    return f"{quantity} = {rule.coefficient:.4g}{powers}"
