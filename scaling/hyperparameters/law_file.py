"""A fitted hyperparameter law as plain data, so that the next study can follow it.

    {"format": "hyperparameter_law", "version": 1, "name": "mine", "batch": "by its own rule",
     "schedule": "...", "convention": {"params": ..., "tokens": ..., "loss": ...},
     "recipe": "...", "source": "...", "notes": [...],
     "rules": {"lr": {"coefficient": 2.1, "exponents": {"params_nonembedding": -0.7, "tokens": 0.3},
                      "fitted_on": {"params_nonembedding": [1e5, 1e7], "tokens": [1e7, 1e9]}}}}

Pure: who reads the file parses it. Keys beside these (the resamples of the fit, which `analysis`
writes and reads) are not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from scaling.common.errors import UserError
from scaling.hyperparameters.law import QUANTITIES, Batch, Confidence, HyperparameterLaw, Power
from scaling.laws._law import Convention, require

FORMAT, VERSION = "hyperparameter_law", 1
_CONVENTION = ("params", "tokens", "loss")
_RULE = ("coefficient", "exponents", "fitted_on")


def to_mapping(law: HyperparameterLaw) -> dict[str, Any]:
    """A fitted law as JSON holds it; read again, its rules are own fits without a cap."""
    convention = asdict(law.convention)
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": law.name,
        "batch": str(law.batch),
        "schedule": law.schedule,
        "convention": {key: convention[key] for key in _CONVENTION},
        "recipe": law.recipe,
        "source": law.source,
        "notes": list(law.notes),
        "rules": {
            quantity: {
                "coefficient": rule.coefficient,
                "exponents": dict(rule.exponents),
                "fitted_on": {name: list(ends) for name, ends in rule.fitted_on.items()},
            }
            for quantity, rule in law.powers.items()
        },
    }


def from_mapping(data: Any, where: str) -> HyperparameterLaw:
    """The law in parsed JSON; `where` is the file, for messages."""
    data = _mapping(data, where)
    if data.get("format") != FORMAT or data.get("version") != VERSION:
        raise UserError(
            f"{where}: not a fitted hyperparameter law (format '{FORMAT}', version {VERSION}); "
            "write one with analysis.hyperparameters.save_law"
        )
    texts = {
        key: _text(data, key, where) for key in ("name", "batch", "schedule", "recipe", "source")
    }
    if texts["batch"] not in list(Batch):
        raise UserError(f"{where}: batch '{texts['batch']}': one of {', '.join(Batch)}")
    convention = _mapping(data.get("convention"), f"{where}: convention")
    require(_CONVENTION, convention, f"{where}: convention")
    rules = {
        str(quantity): _rule(quantity, rule, where)
        for quantity, rule in _mapping(data.get("rules"), f"{where}: rules").items()
    }
    notes = data.get("notes")
    if not isinstance(notes, list):
        raise UserError(f"{where}: 'notes' is missing or no list of texts")
    if not rules:
        raise UserError(
            f"{where}: rules is empty; a law gives at least one of {', '.join(QUANTITIES)}"
        )
    return HyperparameterLaw(
        name=texts["name"],
        form="; ".join(_form(quantity, rule) for quantity, rule in rules.items()),
        rules=rules,
        batch=Batch(texts["batch"]),
        schedule=texts["schedule"],
        convention=Convention(**{key: _text(convention, key, where) for key in _CONVENTION}),
        recipe=texts["recipe"],
        source=texts["source"],
        notes=tuple(map(str, notes)),
    )


def _form(quantity: str, rule: Power) -> str:
    powers = "".join(f" {name}^{power:.3f}" for name, power in rule.exponents.items())
    return f"{quantity} = {rule.coefficient:.4g}{powers}"


def _rule(quantity: str, data: Any, where: str) -> Power:
    where = f"{where}: {quantity}"
    if quantity not in QUANTITIES:
        raise UserError(f"{where}: no such hyperparameter; known: {', '.join(QUANTITIES)}")
    data = _mapping(data, where)
    require(_RULE, data, where)
    coefficient = _number(data["coefficient"], f"{where}: coefficient")
    if coefficient <= 0:
        raise UserError(f"{where}: coefficient={coefficient:g}: must be positive")
    ranges = {}
    for name, ends in _mapping(data["fitted_on"], f"{where}: fitted_on").items():
        if not (isinstance(ends, list) and len(ends) == 2):
            raise UserError(f"{where}: fitted_on.{name}: give [low, high]")
        low, high = (_number(end, f"{where}: fitted_on.{name}") for end in ends)
        if not 0 < low <= high:
            raise UserError(f"{where}: fitted_on.{name}=[{low:g}, {high:g}]: give 0 < low <= high")
        ranges[str(name)] = (low, high)
    exponents = _mapping(data["exponents"], f"{where}: exponents")
    return Power(
        coefficient,
        {str(name): _number(power, f"{where}: {name}") for name, power in exponents.items()},
        fitted_on=ranges,
        confidence=Confidence.OWN,
    )


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: must be an object of names and values")
    return value


def _text(data: Mapping[str, Any], key: str, where: str) -> str:
    if not isinstance(data.get(key), str):
        raise UserError(f"{where}: '{key}' is missing or no text")
    return str(data[key])


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{where}={value!r}: must be a finite number")
    return float(value)
