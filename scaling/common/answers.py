"""Answers of commands: parts made of values, printed as text or, under --json, as one JSON value.

A part's text is formed from its values alone, so that the JSON holds all that the text holds.

    yield Line("{law} on {rows} rows", law="chinchilla", rows=24)
    yield Rows("plans", ("budget", "N*"), [[1e21, Estimate(1e10, 9e9, 1.1e10)]])
    yield Note("no intervals without --bootstrap 1000")
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from scaling.common.tables import blocks, layout, table

if TYPE_CHECKING:
    from rich.console import Console

Answer = Generator["AnswerPart", None, int]  # returns the exit code
Ranged = tuple[float, float, float]  # a value, and the low and high end of its interval


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its interval, NaN where it has none: `1.234 [1.1, 1.3]`."""

    value: float
    low: float = math.nan
    high: float = math.nan
    digits: int = 4

    @classmethod
    def of(cls, ends: Iterable[Any]) -> Estimate:
        """From value, low and high, of any kind of number."""
        value, low, high = map(float, ends)
        return cls(value, low, high)

    def __str__(self) -> str:
        text = f"{float(self.value):.{self.digits}g}"
        if math.isnan(self.low) or math.isnan(self.high):
            return text
        return f"{text} [{self.low:.{self.digits}g}, {self.high:.{self.digits}g}]"

    @property
    def values(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Shown:
    """A value, and its text where that is no plain number."""

    values: Any
    text: str

    @classmethod
    def of(cls, value: Any, form: str) -> Shown:
        """A value in the given format: `Shown.of(tokens, ",.0f")`."""
        return cls(value, format(value, form))

    def __str__(self) -> str:
        return self.text


class AnswerPart(Protocol):
    """A part of an answer: its text is `str`."""

    def into(self, found: dict[str, Any]) -> None:
        """Put the values into the JSON object."""
        ...


class Line:
    """A line of text with its values; those of the list `of` are one entry of that list."""

    def __init__(self, template: str, of: str = "", /, **values: Any) -> None:
        self.template, self.of, self.values = template, of, values

    def __str__(self) -> str:
        return self.template.format_map({name: _Cell(each) for name, each in self.values.items()})

    def into(self, found: dict[str, Any]) -> None:
        if self.of:
            found.setdefault(self.of, []).append(self.values)
        else:
            _merge(found, self.values)


@dataclass(frozen=True)
class Rows:
    """A table with a row for each entry of the list `name`; `above` is a line over it."""

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    left: int | Collection[int] = 1
    above: str = ""
    keys: Sequence[str] = ()  # names of the cells in JSON, where the head does not give them

    def __str__(self) -> str:
        return self.above + table(self.head, self._cells(), left=self.left)

    def show(self) -> None:
        """Print it to a terminal, no wider than that: in blocks of columns, the first in each."""
        from rich.console import Console

        print(self.above, end="")
        console, cells = Console(highlight=False), self._cells()
        places = range(self.left) if isinstance(self.left, int) else self.left
        whole = _width(table(self.head, cells)) <= console.width
        all_of = [list(range(len(self.head)))]
        for number, block in enumerate(
            all_of if whole else blocks(self.head, cells, console.width)
        ):
            head, *rows = ([row[place] for place in block] for row in (self.head, *cells))
            print("\n" * (number > 0), end="")
            _show(console, head, rows, [at for at, place in enumerate(block) if place in places])

    def _cells(self) -> list[list[str]]:
        return [[text(cell) for cell in row] for row in self.rows]

    def into(self, found: dict[str, Any]) -> None:
        keys = self.keys or [_key(name) for name in self.head]
        entries = [dict(zip(keys, row, strict=True)) for row in self.rows]
        found.setdefault(self.name, []).extend(entries)


@dataclass(frozen=True)
class Whole:
    """A result that has its own text, and the values that this text shows."""

    values: Mapping[str, Any]
    text: str = ""

    def __str__(self) -> str:
        return self.text

    def into(self, found: dict[str, Any]) -> None:
        _merge(found, self.values)


@dataclass(frozen=True)
class Note:
    """A caveat: an entry of the list `notes`."""

    text: str

    def __str__(self) -> str:
        return f"note: {self.text}"

    def into(self, found: dict[str, Any]) -> None:
        found.setdefault("notes", []).append(self.text)


def _show(
    console: Console, head: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int]
) -> None:
    """Print columns, their head in bold; cells wider than the terminal are folded."""
    from rich.text import Text

    said = table(head, rows, left=left)
    if _width(said) > console.width:
        console.print(layout(head, rows, left=left))
        return
    lines = said.splitlines()
    names = lines[: any(head)]
    console.print(*[Text(line, "bold") for line in names], end="\n" * any(head))
    print("\n".join(lines[len(names) :]))


def _width(said: str) -> int:
    """The width of the widest line on a terminal."""
    from rich.cells import cell_len

    return max(map(cell_len, said.splitlines()), default=0)


def add_json(parser: Any) -> None:
    """Declare --json."""
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def deliver(answer: Answer, as_json: bool, clear: Callable[[], None] = lambda: None) -> int:
    """Print every part as it comes, or all of them as one JSON object; the exit code.

    `clear` makes room on a terminal for each.
    """
    found: dict[str, Any] = {}
    while True:
        try:
            part = next(answer)
        except StopIteration as end:
            if as_json:
                print(json.dumps(plain(found), indent=1, allow_nan=False))
            return end.value or 0
        clear()
        if as_json:
            part.into(found)
        elif isinstance(part, Rows) and sys.stdout is not None and sys.stdout.isatty():
            part.show()
        elif said := str(part):
            print(said)


def text(cell: Any) -> str:
    """A cell as a table shows it: four digits of a float, a dash where there is no value."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "-"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def plain(value: Any) -> Any:
    """Values as JSON holds them: null for what is not finite, lists for arrays."""
    if isinstance(value, (Estimate, Shown)):
        return plain(value.values)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if hasattr(value, "tolist"):  # an array, or a scalar of NumPy
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


class _Cell:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __format__(self, form: str) -> str:
        return format(self.value, form) if form else text(self.value)


def _merge(found: dict[str, Any], values: Mapping[str, Any]) -> None:
    if twice := found.keys() & values.keys():
        raise KeyError(f"two parts of one answer are named {sorted(twice)}")
    found.update(values)


def _key(head: str) -> str:
    return re.sub(r"\W+", "_", head.replace("%", "percent").replace("*", "_star")).strip("_")
