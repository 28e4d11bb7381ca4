"""The card of a fit: the (Mis)Fitting checklist (arXiv 2502.18969), filled in from its rows.

Four parts: A the hypothesis, B the training set-up, C data collection, D the fitting. An item found
in neither the table nor the recipe is marked as not recorded; nothing is guessed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.arguments import whole
from analysis.fitting.result import FitResult, check_fit
from analysis.fitting.solvers.newton import CONTINUATION
from analysis.tables.population import is_ours

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "not recorded"
HELD_OUT = "held-out validation"

DEFINITIONS = {
    "params_total": "every weight, embeddings included; a tied head counted once",
    "params_nonembedding": "every weight but the embeddings",
    "params_active": "weights that one token passes through",
    "tokens": "training tokens seen, repeats included",
    "flops_6nd": "6 x params_active x tokens; params_active is params_total without experts",
    "flops_6nd_nonembedding": "6 x params_nonembedding x tokens",
    "flops_model": "matrix products of the model, attention included, no recomputation",
    "flops_chinchilla": "as Chinchilla's appendix counts",
    "loss": "validation cross-entropy, nats per token",
    "loss_per_byte": "validation cross-entropy, nats per byte of text",
    "bits_per_byte": "validation cross-entropy, bits per byte of text",
}


@dataclass(frozen=True)
class Section:
    """One part of the checklist: items and their answers."""

    letter: str
    title: str
    items: tuple[tuple[str, str], ...]


def sections(result: FitResult) -> tuple[Section, ...]:
    """All items, A to D."""
    parts: tuple[tuple[str, str, Callable[[FitResult], dict[str, str]]], ...] = (
        ("A", "Hypothesis", _hypothesis),
        ("B", "Training set-up", _training),
        ("C", "Data collection", _collection),
        ("D", "Fitting", _fitting),
    )
    return tuple(
        Section(letter, title, tuple(make(result).items())) for letter, title, make in parts
    )


def card(result: FitResult, width: int = 96) -> str:
    """The card as text for a terminal; of each part, the items that are not recorded in one."""
    check_fit(result)
    width = whole("width", width, least=20)
    lines: list[str] = []
    for section in sections(result):
        lines += ["", f"{section.letter}  {section.title}"]
        absent = ", ".join(item for item, value in section.items if value == UNKNOWN)
        said = [(item, value) for item, value in section.items if value != UNKNOWN]
        for item, value in [*said, *([(UNKNOWN, absent)] if absent else [])]:
            lines += textwrap.wrap(
                f"{item}: {value}", width, initial_indent="   ", subsequent_indent="      "
            )
    return "\n".join(lines).lstrip("\n")


def _hypothesis(result: FitResult) -> dict[str, str]:
    law, recipe = result.law, result.recipe
    fitted = ", ".join(f"{name} = {value:.5g}" for name, value in result.params.items())
    return {
        "form": law.form,
        "variables": ", ".join(
            f"{name} = column {column}" for name, column in recipe.columns.items()
        ),
        "fitted parameters": fitted,
        "principle": law.source,
        "assumed relations": ", ".join(law.relations) or "none: every parameter is free",
        "ranges searched": ", ".join(
            f"{each.name} {each.low:.3g} to {each.high:.3g}" for each in law.free
        ),
    }


def _training(result: FitResult) -> dict[str, str]:
    rows, recipe = result.points.rows, result.recipe
    counted = [recipe.loss, *recipe.columns.values()]
    sizes = result.points.variables.get("params")
    data = result.points.variables.get("tokens")
    return {
        "models": f"{len(rows)} runs"
        + (f" of {len(np.unique(sizes))} sizes, {_span(sizes)}" if sizes is not None else ""),
        "training tokens": _span(data) if data is not None else _column(rows, "tokens"),
        "data": _attribute(rows, "paper", _column(rows, "data.source", "data.fingerprint")),
        "repetition": _column(rows, "epochs", "data.epochs"),
        "how N, D and C are counted": "; ".join(_defined(rows, name) for name in counted),
        "learning rate": _column(rows, "optimizer.learning_rate"),
        "batch": _column(rows, "batch_tokens", "batch.sequences", "batch.seq_len"),
        "schedule": _prefixed(rows, "schedule."),
        "how these were chosen per size": UNKNOWN,
        "width and depth": _column(rows, "model.width", "model.layers"),
        "parametrization": _prefixed(rows, "parametrization."),
        "seeds": _column(rows, "seed"),
        "training code": _column(rows, "code"),
    }


def _collection(result: FitResult) -> dict[str, str]:
    rows, recipe = result.points.rows, result.recipe
    ours = is_ours(rows)
    return {
        "checkpoints released": UNKNOWN,
        "checkpoints per run in the fit": "one, the last" if ours else UNKNOWN,
        "metric": _defined(rows, recipe.loss),
        "evaluation set": _prefixed(rows, "evaluation."),
        "transforms": _transforms(result)
        + ("; no smoothing, no interpolation" if ours else f"; before it {UNKNOWN}"),
        "code for them": "analysis/tables/points.py and analysis/fitting/fit.py",
        "caveats": _attribute(rows, "caveats", UNKNOWN),
    }


def _transforms(result: FitResult) -> str:
    if not result.recipe.objective.log:
        return "none in the fit: residuals of the loss itself"
    return "logarithm of the loss in the fit"


def _fitting(result: FitResult) -> dict[str, str]:
    recipe, points = result.recipe, result.points
    intervals = (
        f"percentiles of {len(result.samples)} {recipe.resampling} resamples, seed {recipe.seed}"
        if result.has_intervals
        else "none"
    )
    return {
        "objective": str(recipe.objective),
        "value at the optimum": f"{result.objective:.7g}",
        "algorithm": f"damped Newton with the exact Hessian, {result.engine.derivatives}, in "
        "float64",
        "its settings": _settings(recipe.objective.delta),
        "initialisation": result.engine.initialisation,
        "weights": recipe.weights,
        "outlier rule": f"{recipe.drop_highest} highest losses dropped"
        if recipe.drop_highest
        else "none dropped",
        "rows": "; ".join(recipe.where) or "all of the table",
        "points": "; ".join((f"{len(points)} fitted", *points.notes)),
        "status": str(result.status),
        "intervals": intervals,
        "goodness of fit": f"rms log residual {100 * result.rms:.2f} %",
        HELD_OUT: "none in this fit"
        if result.held_out is None
        else str(result.held_out).splitlines()[0],
        "code": result.engine.code,
    }


def _settings(delta: float) -> str:
    end = "stops at a predicted gain below 1e-14 of the objective"
    if delta >= CONTINUATION[0]:
        return end
    return (
        f"where ends differ or few rows lie within delta, it falls from {CONTINUATION[0]:g}; {end}"
    )


def _defined(rows: pd.DataFrame, column: str) -> str:
    """Definition of a column; unknown in a table of another project."""
    known = is_ours(rows) and column in DEFINITIONS
    return f"{column}: {DEFINITIONS[column] if known else UNKNOWN}"


def _attribute(rows: pd.DataFrame, name: str, otherwise: str) -> str:
    """An attribute of a published table, or `otherwise`."""
    return str(rows.attrs[name]) if rows.attrs.get(name) else otherwise


def _span(values: np.ndarray) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _column(rows: pd.DataFrame, *names: str) -> str:
    """The values of columns: a constant as itself, numbers as a range, else a count."""
    said = []
    for name in names:
        if name not in rows.columns:
            continue
        values = rows[name].dropna()
        kinds = values.astype(str).unique()
        if not len(kinds):
            continue
        if len(kinds) == 1:
            text = kinds[0]
        elif values.map(lambda value: isinstance(value, int | float)).all():
            text = _span(values.to_numpy(np.float64))
        else:
            text = ", ".join(sorted(kinds)) if len(kinds) <= 4 else f"{len(kinds)} different"
        said.append(f"{name} {text}")
    return ", ".join(said) if said else UNKNOWN


def _prefixed(rows: pd.DataFrame, prefix: str) -> str:
    return _column(rows, *(str(name) for name in rows.columns if str(name).startswith(prefix)))
