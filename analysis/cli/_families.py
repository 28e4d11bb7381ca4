"""Gains of the families of a study over one of them, at equal FLOPs, tokens and seconds."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.cli._spent import column_of_sizes, spending
from analysis.cli._table_options import TableSource, fit_source, read
from scaling.common.answers import AnswerPart, Estimate, Note, Rows
from scaling.common.errors import UserError, nearest

if TYPE_CHECKING:
    from analysis.fitting.result import FitResult
    from analysis.inference.compute_gain import Gain

HEAD = ("family", "runs", "FLOPs", "tokens", "seconds")
SPENT = {"FLOPs": "flops_model", "seconds": "wall_seconds"}
RESAMPLES = 400
Family = Mapping[str, TableSource]


def compare(options: argparse.Namespace) -> Iterator[AnswerPart]:
    """A row of gains for each family, and the budgets at which they hold.

    Raises:
        UserError: the rows have fewer than two labels, or none of the one asked for.
    """
    options = copy.copy(options)
    options.bootstrap = options.bootstrap or RESAMPLES
    families = of_labels(read(options.path, options), options)
    reference = options.against or next(iter(families))
    others = [name for name in families if name != reference]
    found: dict[str, dict[str, Any]] = {name: {} for name in others}
    said = []
    for unit, at, gains in _gains(families, reference, options):
        said.append(at)
        for name, gain in gains.items():
            if isinstance(gain, UserError):
                yield Note(f"{name}, {unit}: {gain}")
            else:
                found[name][unit] = Estimate(gain.value, gain.low, gain.high, 3)
    never = Estimate(float("nan"), digits=3)
    rows = [
        (name, len(families[name].table), *({**dict.fromkeys(HEAD[2:], never), **each}.values()))
        for name, each in found.items()
    ]
    yield Rows("gains", HEAD, rows, left=1)
    yield Note(f"factors by which {reference} needs more; above 1 the family is the better one")
    yield from map(Note, said)


def of_labels(source: TableSource, options: argparse.Namespace) -> dict[str, TableSource]:
    """The rows of each label."""
    known = "label" in source.table
    names = list(dict.fromkeys(map(str, source.table["label"]))) if known else []
    if len(names) < 2:
        raise UserError(
            f"compare {options.path}: its rows have no two labels to compare; "
            "give --law to rank laws"
        )
    if options.against and options.against not in names:
        raise UserError(f"compare --against {options.against}: {nearest(options.against, names)}")
    table = source.table
    return {name: replace(source, table=table[table["label"] == name]) for name in names}


def _gains(
    families: Family, reference: str, options: argparse.Namespace
) -> Iterator[tuple[str, str, dict[str, Gain | UserError]]]:
    """The gains in each unit of which every family has a column."""
    for unit, column in SPENT.items():
        if not all(column in each.table for each in families.values()):
            continue
        budget = min(float(each.table[column].max()) for each in families.values())
        own = {name: spending(each, column) for name, each in families.items()}
        of = argparse.Namespace(**{**vars(options), "params": column_of_sizes(column)})
        yield unit, f"{unit} at {budget:.4g} of {column}", _each(own, reference, of, budget=budget)
    first = families[reference]
    sizes, tokens = options.params or first.params, options.tokens or first.tokens
    size, budget = (
        min(float(each.table[column].max()) for each in families.values())
        for column in (sizes, tokens)
    )
    gains = _each(families, reference, options, params=size, budget=budget)
    yield "tokens", f"tokens at {budget:.4g} tokens of {size:.4g} {sizes}", gains


def _each(
    families: Family, reference: str, options: argparse.Namespace, **at: float
) -> dict[str, Gain | UserError]:
    """The gain of every other family over the reference, or the reason why it has none."""
    from analysis.inference.compute_gain import gain

    found: dict[str, Gain | UserError] = {}
    theirs: FitResult = fit_source(families[reference], None, options)
    for name, family in families.items():
        if name != reference:
            try:
                known = gain(fit_source(family, None, options), theirs, **at)
            except UserError as error:
                found[name] = error
            else:
                why = known.undetermined
                found[name] = UserError(f"no gain, {why}") if why else known
    return found
