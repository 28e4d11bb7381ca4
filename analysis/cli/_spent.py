"""Sizes of models by which the budget 6 N D is what a run spent of any column."""

from __future__ import annotations

from dataclasses import replace

from analysis.cli._table_options import TableSource
from scaling.common.errors import UserError, nearest


def column_of_sizes(column: str) -> str:
    """The name of the sizes that `spending` makes of a column."""
    from analysis.inference.compute_gain import SIZE

    return SIZE.format(column)


def spending(source: TableSource, column: str) -> TableSource:
    """The rows with a size by which 6 N D is what they spent of a column.

    Raises:
        UserError: there is no such column, or no number in it.
    """
    from analysis.tables.columns import numeric

    for name in (column, source.tokens):
        if name not in source.table:
            raise UserError(f"--spent {column}: {nearest(name, source.table.columns)}")
    spent = numeric(source.table[column])
    if not (spent > 0).any():
        raise UserError(f"--spent {column}: the column holds no positive number")
    size = spent / (6 * numeric(source.table[source.tokens]))
    return replace(source, table=source.table.assign(**{column_of_sizes(column): size}))
