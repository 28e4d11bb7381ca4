"""Fitted laws of optimal hyperparameters on disk: JSON with the constants, and their resamples.

`scaling/hyperparameters/law_file.py` types the file; the resamples give the intervals here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.hyperparameters.power_law import COEFFICIENT, OptimumLaw
from scaling.common.errors import UserError, nearest
from scaling.common.files import plain, read_json, write_bytes
from scaling.hyperparameters.given import GIVEN
from scaling.hyperparameters.law import (
    QUANTITIES,
    Batch,
    Confidence,
    Experts,
    HyperparameterLaw,
    Power,
)
from scaling.hyperparameters.law_file import REMEDY, LawFile, Resamples, from_law, to_law
from scaling.laws._law import Convention

LAW = "law.json"  # in the folder of a study whose reading gives a law
DIGITS = 8  # of a resample


@dataclass(frozen=True)
class FittedLaw:
    """A law as studies read it, and the fits behind it by quantity."""

    law: HyperparameterLaw
    fits: Mapping[str, OptimumLaw]


def save_law(
    path: str | Path,
    fits: Mapping[str, OptimumLaw],
    *,
    name: str,
    loss: str,
    batch: Batch = Batch.OWN,
    schedule: str,
    recipe: str,
    source: str = "own fit",
) -> None:
    """Write the laws of `fits`, such as {"lr": ..., "batch_tokens": ...}, by quantity.

    `loss`, `schedule` and `recipe` are words for the minimised loss, its schedule and the method;
    `batch` is the batch that the learning rate assumes.
    """
    for quantity, fit in fits.items():
        if quantity not in QUANTITIES:
            raise UserError(f"save_law: '{quantity}': one of {', '.join(QUANTITIES)}")
        if not np.isfinite(fit.estimate).all():
            raise UserError(f"save_law: the law of '{quantity}' has no finite constants")
    variables = dict.fromkeys(name for fit in fits.values() for name in fit.variables)
    for unknown in [each for each in variables if each not in GIVEN]:
        raise UserError(
            f"save_law: no run is ever described by '{unknown}', so the law could give no advice: "
            f"{nearest(unknown, GIVEN)}; rename the column of the table and fit again"
        )
    law = HyperparameterLaw(
        name=name,
        form="; ".join(map(str, fits.values())),
        rules={
            quantity: Power(
                fit.params[COEFFICIENT],
                {name: fit.params[name] for name in fit.variables},
                fitted_on=fit.fitted_on,
                confidence=Confidence.OWN,
            )
            for quantity, fit in fits.items()
        },
        batch=batch,
        schedule=schedule,
        convention=Convention(
            params=", ".join(name for name in variables if name.startswith("params"))
            or "not a variable",
            tokens="training tokens; batch in tokens",
            loss=loss,
        ),
        recipe=recipe,
        source=source,
        notes=tuple(dict.fromkeys(text for fit in fits.values() for text in fit.warnings)),
        experts=Experts.OWN,
    )
    resamples = {
        quantity: Resamples(
            units=fit.units,
            scatter=fit.scatter if math.isfinite(fit.scatter) else None,
            logs=tuple(tuple(float(f"{x:.{DIGITS}g}") for x in row) for row in fit.samples),
        )
        for quantity, fit in fits.items()
    }
    data = plain(from_law(law, resamples))
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in data.items())
    write_bytes(Path(path), f"{{\n{lines}\n}}\n".encode())


def load_law(path: str | Path) -> FittedLaw:
    """Read the law that `save_law` wrote. A file without resamples is a law without intervals.

    Raises:
        UserError: the file cannot be read, or a field of it is unknown, missing or ill-typed.
    """
    file = read_json(Path(path), LawFile, REMEDY)
    law = to_law(file)
    fits = {
        quantity: _fit(quantity, rule, file, law.notes, str(path))
        for quantity, rule in law.powers.items()
    }
    return FittedLaw(law, fits)


def _fit(
    quantity: str, rule: Power, file: LawFile, notes: tuple[str, ...], where: str
) -> OptimumLaw:
    size = 1 + len(rule.variables)
    samples, units, scatter = np.empty((0, size)), 0, math.nan
    if quantity in file.resamples:
        mine = file.resamples[quantity]
        if any(len(row) != size for row in mine.logs):
            raise UserError(
                f"{where}: $.resamples.{quantity}.logs: {size} numbers a row expected; "
                "save the law again"
            )
        samples, units = np.asarray(mine.logs, np.float64).reshape(-1, size), mine.units
        scatter = math.nan if mine.scatter is None else mine.scatter
    return OptimumLaw(
        hyper=quantity,
        variables=rule.variables,
        estimate=np.array([math.log(rule.coefficient), *rule.exponents.values()]),
        samples=samples if units > size else np.empty((0, size)),
        units=units,
        scatter=scatter,
        fitted_on=rule.fitted_on,
        warnings=notes,
    )
