"""The best value of a swept setting, such as the learning rate, with its 95 % interval.

A study's setting is the one that it sweeps, for each size and label. In a table the setting is a
column, and each value of the columns --by has a best of its own; the loss at equal values counts as
repeats. A best value at the edge of those tried is a bound.

  windtunnel best runs/lr_transfer
  windtunnel best table.csv --setting lr --by n
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from analysis.cli._table_options import add_columns, add_source, read
from scaling.common.answers import Answer, Estimate, Note, Rows
from scaling.common.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from analysis.hyperparameters.best import BestSetting

HEAD = ("best", "loss", "runs", "minimum")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, law=None)
    parser.add_argument("--setting", metavar="COLUMN", help="the column that was swept")
    parser.add_argument(
        "--by", action="append", default=[], metavar="COLUMN", help="a best for each of its values"
    )
    add_columns(parser)


def run(options: argparse.Namespace) -> Answer:
    """A row for each best value, and a note where it is no measurement."""
    from analysis.hyperparameters.optimum import Where
    from experiments.record import STUDY, reading_folder

    is_study = (reading_folder(options.path) / STUDY).exists()
    if options.setting is None and not is_study:
        read(options.path, options)  # which refuses a path with nothing there
        raise UserError(f"best {options.path}: name the column that was swept, as --setting lr")
    whole = options.setting is None
    heads, found = _of_study(options) if whole else _of_table(options)
    rows = []
    for names, best in found:
        shown = Estimate(best.value, best.low, best.high)
        rows.append([*names, shown, Estimate(best.loss), best.runs, str(best.where)])
    yield Rows("best", (*heads, *HEAD), rows, left=len(heads))
    for names, best in found:
        if best.where is not Where.INSIDE:
            yield Note(f"{', '.join(map(str, names)) or options.setting}: {best.reason}")
    return 0


Found = list[tuple[tuple[object, ...], "BestSetting"]]


def _of_study(options: argparse.Namespace) -> tuple[tuple[str, ...], Found]:
    """The valleys of a study's own sweep."""
    from analysis.estimators.valleys import FEWEST, find_valleys
    from analysis.hyperparameters.best import best_setting
    from analysis.tables.study import load_study

    for name in ("by", "where", "loss", "params", "tokens"):
        if getattr(options, name):
            raise UserError(f"best {options.path}: --{name} needs --setting, or leave it")
    valleys = find_valleys(load_study(options.path))
    if valleys is None:
        raise UserError(
            f"{options.path}: no setting has {FEWEST} values at one size; name one as --setting"
        )
    found: Found = [
        ((valleys.setting, valley.name, valley.sizes[valleys.params]),
         best_setting(valley.values, valley.losses))
        for valley in valleys.valleys
        if (valley.values > 0).all()
    ]  # fmt: skip
    return ("setting", "kind", valleys.params), found


def _of_table(options: argparse.Namespace) -> tuple[tuple[str, ...], Found]:
    """A best for each group of rows."""
    import numpy as np

    from analysis.hyperparameters.best import best_setting

    source = read(options.path, options)
    table = source.table
    if "status" in table and "planned" in table:  # records: those that ended
        table = table[table["status"] == "completed"]
    _check(table, (options.setting, source.loss, *options.by))
    found: Found = []
    for names, rows in _groups(table, options.by):
        values, losses = (rows[name].to_numpy(float) for name in (options.setting, source.loss))
        known = np.isfinite(values) & np.isfinite(losses)
        if not known.all():
            raise UserError(
                f"{options.path}: row {rows.index[~known][0]} has no {options.setting} or no "
                f"{source.loss}; leave such rows out with --where"
            )
        if (values <= 0).any():
            raise UserError(f"{options.setting}: a best value needs positive ones")
        found.append((names, best_setting(values, losses[None])))
    return tuple(options.by), found


def _groups(
    table: pd.DataFrame, by: list[str]
) -> Iterator[tuple[tuple[object, ...], pd.DataFrame]]:
    if not by:
        yield (), table
        return
    for names, rows in table.groupby(by):
        yield tuple(names) if isinstance(names, tuple) else (names,), rows


def _check(table: pd.DataFrame, names: tuple[str, ...]) -> None:
    from pandas.api.types import is_numeric_dtype

    for name in names:
        if name not in table.columns:
            raise UserError(f"no column '{name}': {nearest(name, map(str, table.columns))}")
    for name in names[:2]:
        if not is_numeric_dtype(table[name]):
            raise UserError(f"column '{name}' holds text where numbers are needed")
