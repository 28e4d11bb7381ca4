"""Fitted laws of optimal hyperparameters on disk: JSON with the constants, and their resamples.

`scaling.hyperparameters.from_mapping` reads the constants; the resamples give the interval here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.hyperparameters.power_law import COEFFICIENT, OptimumLaw
from scaling.common.errors import UserError
from scaling.hyperparameters.law import QUANTITIES, Batch, Confidence, HyperparameterLaw, Power
from scaling.hyperparameters.law_file import from_mapping, to_mapping
from scaling.laws._law import Convention

LAW = "law.json"  # in the folder of a study whose reading gives a law
RESAMPLES = "resamples"
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
    )
    data = to_mapping(law)
    data[RESAMPLES] = {
        quantity: {
            "units": fit.units,
            "scatter": fit.scatter if math.isfinite(fit.scatter) else None,
            "logs": [[float(f"{x:.{DIGITS}g}") for x in row] for row in fit.samples.tolist()],
        }
        for quantity, fit in fits.items()
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in data.items())
    Path(path).write_text(f"{{\n{lines}\n}}\n")


def load_law(path: str | Path) -> FittedLaw:
    """The law that `save_law` wrote. A file without resamples is a law without intervals."""
    data = _read_json(path)
    law = from_mapping(data, str(path))
    resamples = data.get(RESAMPLES)
    return FittedLaw(
        law,
        {
            quantity: _fit(quantity, rule, resamples, law.notes, str(path))
            for quantity, rule in law.powers.items()
        },
    )


def _fit(
    quantity: str, rule: Power, resamples: Any, notes: tuple[str, ...], where: str
) -> OptimumLaw:
    size = 1 + len(rule.variables)
    samples, units, scatter = np.empty((0, size)), 0, math.nan
    if resamples is not None:
        try:
            mine = resamples[quantity]
            samples = np.asarray(mine["logs"], np.float64).reshape(-1, size)
            units = int(mine["units"])
            scatter = math.nan if mine["scatter"] is None else float(mine["scatter"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{where}: {RESAMPLES}.{quantity} is damaged ({error}); save the law again"
            ) from None
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


def _read_json(path: str | Path) -> Any:
    """Parsed JSON, or one line that says what is wrong with the file."""
    try:
        return json.loads(Path(path).read_text())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a file that save_law wrote") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); give a file that save_law wrote") from None
