"""A file of rows to a table, whatever wrote it: the content says its form, never its name.

Text is CSV with commas, semicolons, tabs, bars or blanks, JSON, or JSON lines, in UTF-8, UTF-16,
UTF-32 or Windows-1252. Parquet, Feather and Excel need their packages. Files compressed by gzip,
zip, bzip2, xz or zstd are unpacked. Columns whose cells are all numbers are numbers, units in cells
included. Names of rows stay text.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.tables.columns import LINE, is_identifier, is_truth, texts, tidy, typed
from analysis.tables.delimited import ENDS, delimited, is_title
from analysis.tables.number_text import Mark, decimal_mark, is_scaled
from analysis.tables.words import in_unit
from scaling.common.errors import UserError
from scaling.common.files import check_path
from scaling.common.plugins import import_extra
from scaling.common.remote import local

if TYPE_CHECKING:
    import pandas as pd

STDIN = "-"
MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"),
         (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))  # fmt: skip
CONTROL = frozenset(range(32)) - frozenset(b"\t\n\v\f\r")
OTHERS: Mapping[bytes, str] = {
    b"SQLite format 3\0": "an SQLite database: export the table of runs as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save it as .xlsx or CSV",
    b"%PDF": "a PDF: copy its table into a CSV file",
    b"\x89PNG": "a picture",
}


def load_table(path: str | Path, text: Sequence[str] = ()) -> pd.DataFrame:
    """Runs from a file or URL of any origin; the fit names their columns. `-` is standard input.

    Columns named in `text` stay text, as those named as ids and labels do.
    """
    return read_table(path, text).reset_index(drop=True)


def read_table(path: str | Path, text: Sequence[str] = ()) -> pd.DataFrame:
    """`load_table`, with the lines of the file as index where it has lines."""
    check_path(path)
    name = "standard input" if str(path) == STDIN else str(path)
    try:
        content = sys.stdin.buffer.read() if str(path) == STDIN else local(path).read_bytes()
    except OSError as error:
        raise UserError(f"{name}: cannot read ({error.strerror})") from error
    try:
        table = _table(_unpacked(content))
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    if table.columns.empty:
        raise UserError(f"{name}: not a table (no column)")
    if table.empty:
        raise UserError(f"{name}: the table has a header and no rows")
    return typed_table(table, text)


def _unpacked(content: bytes) -> bytes:
    """The file inside a compressed one."""
    try:
        if content.startswith(b"\x1f\x8b"):
            return gzip.decompress(content)
        if content.startswith(b"BZh"):
            return bz2.decompress(content)
        if content.startswith(b"\xfd7zXZ\0"):
            return lzma.decompress(content)
        if content.startswith(b"\x28\xb5\x2f\xfd"):
            arrow = import_extra("pyarrow", "text", "zstd")
            return bytes(arrow.CompressedInputStream(io.BytesIO(content), "zstd").read())
        if content.startswith(b"PK\x03\x04"):
            return _unzipped(content)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"compressed and damaged ({error})") from error
    return content


def _unzipped(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [each for each in archive.namelist() if not each.endswith("/")]
        if "xl/workbook.xml" in names:
            return content
        kept = [each for each in names if not each.startswith("__MACOSX/")]
        if len(kept) != 1:
            raise UserError(f"an archive of {len(kept)} files: unpack the one to read")
        return archive.read(kept[0])


def _table(content: bytes) -> pd.DataFrame:
    for head, said in OTHERS.items():
        if content.startswith(head):
            raise UserError(f"not a table in CSV, but {said}")
    for head, read in BINARY.items():
        if content.startswith(head):
            return read(io.BytesIO(content))
    text = _decoded(content)
    start = text.lstrip()[:1]
    if start == "<":
        raise UserError("not a table in CSV, but a web page or XML")
    return _json(text) if start and start in "[{" else delimited(text)


def _decoded(content: bytes) -> str:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return _decode(content, encoding)
    head = content[:4096]
    if len(head) > 3 and not head.strip(b"\0"):
        raise UserError("not a table in CSV (bytes of zero)")
    for encoding, nulls in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(head) > 3 and nulls.count(0) > 0.4 * len(nulls):
            return _decode(content, encoding)
    if CONTROL & set(head):
        raise UserError("not a table in CSV (binary data)")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _decode(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"not a table in CSV ({error.reason} in {encoding})") from error


def _json(text: str) -> pd.DataFrame:
    """A list of rows, a mapping of columns, or a row on each line."""
    import pandas as pd

    try:
        held = json.loads(text, object_pairs_hook=_pairs)
    except (ValueError, RecursionError):  # of many digits, or too deep
        return _json_lines(text)
    if isinstance(held, Mapping):
        lists = [value for value in held.values() if isinstance(value, list)]
        if _is_split(held):
            held = [dict(zip(held["columns"], row, strict=True)) for row in held["data"]]
        elif (len(lists) == 1 and len(held) > 1) or (len(held) == 1 and _are_rows(lists)):
            held = lists[0]  # the rows, beside words about them
        elif lists and len({len(each) for each in lists}) == 1 and len(lists) == len(held):
            held = [dict(zip(held, row, strict=True)) for row in zip(*lists, strict=True)]
        elif held and all(isinstance(value, Mapping) for value in held.values()):
            held = _by_cell(held)
        else:
            held = [held]
    if not isinstance(held, list) or not all(isinstance(row, Mapping) for row in held):
        raise UserError("JSON that is neither a list of rows nor a mapping of columns")
    return pd.DataFrame([_flat(row) for row in held]).astype(object)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, whose names must differ as columns must."""
    names = [name for name, _ in pairs]
    if len(held := dict(pairs)) < len(pairs):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"a JSON object with more than one '{twice}': rename all but one")
    return held


def _is_split(held: Mapping[str, Any]) -> bool:
    """True for the names of columns beside the rows, as pandas writes them."""
    names, rows = held.get("columns"), held.get("data")
    return (
        isinstance(names, list)
        and isinstance(rows, list)
        and all(isinstance(row, list) and len(row) == len(names) for row in rows)
    )


def _are_rows(lists: list[list[Any]]) -> bool:
    return len(lists) == 1 and all(isinstance(row, Mapping) for row in lists[0])


def _by_cell(held: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """{column: {row: cell}} as pandas writes it, or {run: {column: cell}}."""
    import pandas as pd

    numbered = all(str(key).isdigit() for column in held.values() for key in column)
    if numbered:
        return pd.DataFrame(held).to_dict("records")  # type: ignore[return-value]
    return [{"name": name, **row} for name, row in held.items()]


def _json_lines(text: str) -> pd.DataFrame:
    import pandas as pd

    rows, at = [], []
    for line, each in enumerate(ENDS.split(text), 1):
        if not each.strip():
            continue
        try:
            row = json.loads(each, object_pairs_hook=_pairs)
        except (ValueError, RecursionError) as error:
            said = str(error).partition(": line")[0]
            raise UserError(f"neither JSON nor JSON lines (line {line}: {said})") from error
        if not isinstance(row, Mapping):
            raise UserError(f"JSON lines, but line {line} is no mapping of columns")
        rows.append(_flat(row))
        at.append(line)
    return pd.DataFrame(rows, index=pd.Index(at, name=LINE)).astype(object)


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested names joined by points; a list is one cell."""
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            cells |= _flat(value, f"{prefix}{key}.")
        else:
            cells[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return cells


def _parquet(file: io.BytesIO) -> pd.DataFrame:
    arrow = import_extra("pyarrow.parquet", "text", "Parquet")
    return _from_arrow(arrow.read_table, file)


def _feather(file: io.BytesIO) -> pd.DataFrame:
    arrow = import_extra("pyarrow.feather", "text", "Feather")
    return _from_arrow(arrow.read_table, file)


def _from_arrow(read: Callable[[io.BytesIO], Any], file: io.BytesIO) -> pd.DataFrame:
    try:
        table: pd.DataFrame = read(file).to_pandas().reset_index(drop=False)
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise UserError(f"a damaged table ({' '.join(str(error).split())[:80]})") from error
    table = table.drop(columns=["index", "__index_level_0__"], errors="ignore")
    mixed = [name for name in table.columns if table[name].dtype.kind == "O"]
    return table.assign(**{name: table[name].map(_one_cell) for name in mixed})


def _one_cell(cell: Any) -> Any:
    """The text of a list or mapping in a cell."""
    plain = cell.tolist() if hasattr(cell, "tolist") else cell
    return json.dumps(plain, default=str) if isinstance(plain, list | dict) else plain


def _excel(file: io.BytesIO) -> pd.DataFrame:
    """The only sheet that holds a table; its header is the first row with cells, below a title."""
    import pandas as pd

    import_extra("openpyxl", "excel", "an Excel file")
    try:
        sheets = pd.read_excel(file, sheet_name=None, header=None, dtype=object, engine="openpyxl")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"a damaged Excel file ({error})") from error
    full = {name: sheet for name, sheet in sheets.items() if not sheet.dropna(how="all").empty}
    wide = {name: sheet for name, sheet in full.items() if sheet.notna().any().sum() > 1}
    full = wide or full  # one column of words is no table beside another
    if len(full) != 1:
        raise UserError(f"{len(full)} sheets with cells ({', '.join(full)}): save the one as CSV")
    ((title, sheet),) = full.items()
    if sheet.isna().any(axis=None):
        _check_formulas(file, title, sheet)
    sheet = sheet.set_axis(sheet.index + 1).dropna(how="all").dropna(how="all", axis=1)
    if len(sheet) > 1 and is_title(*sheet.iloc[:2].to_numpy().tolist()):
        sheet = sheet.iloc[1:].dropna(how="all", axis=1)
    names = [f"column {at}" if name != name else str(name).strip() for at, name in
             enumerate(sheet.iloc[0], 1)]  # fmt: skip
    return sheet.iloc[1:].set_axis(names, axis=1).rename_axis(LINE)


def _check_formulas(file: io.BytesIO, title: str, sheet: pd.DataFrame) -> None:
    """Refuse a sheet whose formulas nobody has computed: programs write them without values."""
    from openpyxl import load_workbook

    empty = sheet.isna()
    cells = [cell for row in load_workbook(file, read_only=True)[title] for cell in row]
    formulas = [cell for cell in cells if cell.data_type == "f"]
    if formulas and all(empty.iat[c.row - 1, c.column - 1] for c in formulas):
        raise UserError(
            f"cell {formulas[0].coordinate} holds a formula and no value: open and save the file "
            "in a spreadsheet program, or save it as CSV"
        )


BINARY: Mapping[bytes, Callable[[io.BytesIO], Any]] = {
    b"PAR1": _parquet,
    b"ARROW1": _feather,
    b"PK\x03\x04": _excel,
}


def typed_table(table: pd.DataFrame, text: Sequence[str] = ()) -> pd.DataFrame:
    """Every column by its cells, under one decimal mark for the file."""
    import pandas as pd

    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise UserError(f"the table has more than one column '{twice[0]}': rename all but one")
    table = table.dropna(how="all")
    plain = {name: _plain(table[name]) for name in table.columns}
    mark = _mark([table[name] for name, done in plain.items() if done is None])
    columns = {}
    for name, done in plain.items():
        if name in text or is_identifier(name):
            columns[name] = texts(tidy(table[name]))
        else:
            columns[name] = typed(tidy(table[name]), mark) if done is None else done
            if done is None and in_unit(name) and any(map(is_scaled, texts(table[name]).dropna())):
                raise UserError(f"column '{name}' has a unit in its name and in its cells")
    return pd.DataFrame(columns, index=table.index)


def _plain(column: pd.Series) -> pd.Series | None:
    """A column that a program wrote as numbers, or None."""
    import pandas as pd

    if column.dtype.kind not in "OUT" and not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    values = pd.to_numeric(column, errors="coerce")
    return None if values.isna().any() or is_truth(column) else values


def _mark(columns: Sequence[pd.Series]) -> Mark:
    """The decimal mark that the cells of the file agree on."""
    return decimal_mark({cell for column in columns for cell in column.unique()
                         if isinstance(cell, str) and ("," in cell or "." in cell)})  # fmt: skip
