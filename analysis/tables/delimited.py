"""Text with a header and a row on each line, separated by a character that the header tells.

Lines that begin with # are comments. A title above the header, and the line `sep=;` of Excel, are
no rows. Rows keep the number of their line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.tables.columns import LINE
from analysis.tables.number_text import number
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t", "|")
ENDS = re.compile("\r\n|\n|\r")  # of lines; a cell may hold any other, as U+2028
SAID = re.compile(r"sep=(?P<separator>.)", re.I)  # what Excel reads before the header
RULE = re.compile(r"\s*\|?[\s:|-]*-[\s:|-]*\|?\s*")  # below the header of a table in Markdown
EXPECTED = re.compile(r"Expected \d+ fields in line (\d+), saw (\d+)")


def delimited(text: str) -> pd.DataFrame:
    """Every cell as text, missing where the row ends before it."""

    lines = ENDS.split(text)
    if "#" in text:
        lines = ["" if line.lstrip().startswith("#") else line for line in lines]
    full = (at for at, line in enumerate(lines) if line.strip(" \t,;|"))
    first, second = next(full, None), next(full, None)
    if first is None:
        raise UserError("not a table in CSV (no line of it holds a name)")
    told = SAID.fullmatch(lines[first])
    if second is not None and (told or _is_headed(lines[first], lines[second])):
        first = second
    separator = told["separator"] if told else _separator(lines[first])
    if separator == "|":
        lines = [_unbarred(line) for line in lines]
    names = _names(lines[first], separator)
    raw = _cells("\n".join(lines[first + 1 :]), separator, len(names), first + 2)
    extra = raw[len(names)]
    if extra.map(lambda cell: isinstance(cell, str) and bool(cell.strip())).any():
        raise UserError(
            "rows have more fields than the header has names; a cell with the separator "
            f"{separator!r} in it needs quotes"
        )
    table = raw.drop(columns=len(names)).set_axis(names, axis=1)
    doubtful = table[table[names[0]].isin(("", names[0]))]
    header = doubtful[(doubtful == names).all(axis=1)].index  # again, where files were joined
    blank = doubtful[(doubtful.isna() | (doubtful == "")).all(axis=1)].index
    table = table.drop(index=header.union(blank))
    unnamed = [name for at, name in enumerate(names) if name == _unnamed(at)]
    return table.drop(columns=[name for name in unnamed if table[name].isin(("",)).all()])


def is_title(line: Sequence[object], below: Sequence[object]) -> bool:
    """True for a line with one cell, where the names of columns stand below it."""
    one, names = ([cell for cell in cells if cell == cell and str(cell).strip()] for cells in
                  (line, below))  # fmt: skip
    words = [isinstance(cell, str) and number(cell) is None for cell in (*one, *names)]
    return len(one) == 1 and len(names) > 1 and all(words)


def _is_headed(line: str, below: str) -> bool:
    """`is_title` of two lines of text."""
    separator = _separator(below)
    return separator != " " and is_title(*(each.split(separator) for each in (line, below)))


def _cells(text: str, separator: str, names: int, first_line: int) -> pd.DataFrame:
    """The rows (n, names + 1); the last column holds what is beyond the header."""
    import pandas as pd

    try:
        raw = pd.read_csv(
            io.StringIO(text), sep=r"\s+" if separator == " " else separator, header=None,
            names=range(names + 1), index_col=False, dtype=object, keep_default_na=False,
            skip_blank_lines=False, skipinitialspace=True,
        )  # fmt: skip
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=range(names + 1), index=pd.Index([], name=LINE))
    except pd.errors.ParserError as error:
        raise UserError(f"not a table in CSV ({_reason(str(error), names, first_line)})") from error
    inside = 0
    if '"' in text:  # a quoted cell may hold ends of lines
        broken = raw.apply(lambda cells: cells.str.count("\n")).fillna(0).sum(axis=1)
        inside = (broken.cumsum() - broken).astype(int).to_numpy()
    return raw.set_axis(pd.Index(range(first_line, first_line + len(raw)), name=LINE) + inside)


def _reason(said: str, names: int, first_line: int) -> str:
    found = EXPECTED.search(said)
    if found is None:
        return " ".join(said.split())
    line, fields = int(found[1]) + first_line - 1, found[2]
    return f"line {line} has {fields} fields, and the header {names} names"


def _separator(header: str) -> str:
    """The separator that stands most often in the header, outside quotes; else blanks."""
    bare = re.sub(r'"[^"]*"', "", header)
    best = max(SEPARATORS, key=bare.count)
    return best if best in bare else " "


def _unbarred(line: str) -> str:
    """A row of Markdown without its outer bars; its rule is no row."""
    return "" if RULE.fullmatch(line) else line.strip().strip("|")


def _names(header: str, separator: str) -> list[str]:
    """Names without blanks around them; one for a column that has none."""
    fields = header.split() if separator == " " else next(
        csv.reader([header], delimiter=separator, skipinitialspace=True)
    )  # fmt: skip
    names = [name.strip() or _unnamed(at) for at, name in enumerate(fields)]
    if all(number(name) is not None for name in names):
        raise UserError(f"the first line holds numbers ({header[:60]}): write names above it")
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"the table has more than one column '{name}': rename all but one")
    return names


def _unnamed(at: int) -> str:
    return f"column {at + 1}"
