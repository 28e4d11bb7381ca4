"""Points at which a command predicts: `--at params=7B,tokens=140B`, one point each time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.cli._format import estimates
from analysis.cli._table_options import named, pairs
from scaling.common import quantities
from scaling.common.answers import AnswerPart, Note, Rows
from scaling.common.errors import UserError

if TYPE_CHECKING:
    from analysis.fitting.types import Prediction


def add_at(parser: Any, metavar: str = "NAME=X,...") -> None:
    """Declare --at."""
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar=metavar,
        help="predict at this point, all variables between commas; may be given again",
    )


def points(
    texts: Sequence[str], names: Sequence[str], option: str = "--at"
) -> list[Mapping[str, float]]:
    """The points of an option, with a value for each of `names`; a lone name may be left out.

    Raises:
        UserError: a variable lacks or is unknown, or a value is no positive number.
    """
    return [_point(text, names, option) for text in texts]


def columns(at: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The values of each variable over the points."""
    return {name: [point[name] for point in at] for name in at[0]}


def predicted(
    found: Prediction, at: Sequence[Mapping[str, float]], loss: str
) -> Iterator[AnswerPart]:
    """A row for each point, its distance, and the contents of the intervals."""
    import numpy as np

    away = np.max(list(found.beyond.values()), axis=0)
    rows = [
        (*point.values(), *each) for point, *each in zip(at, estimates(found), away, strict=True)
    ]
    yield Rows("at", (*at[0], loss, "times outside"), rows, left=0, above="\n")
    if found.distance:
        yield Note(f"up to {found.distance}")
    yield Note(found.without or f"intervals of a new run: {found.contains}")


def _point(text: str, names: Sequence[str], option: str) -> Mapping[str, float]:
    if len(names) == 1 and "=" not in text:
        text = f"{names[0]}={text}"
    given = pairs(option, text.split(","))
    if set(given) != set(names):
        example = ",".join(f"{name}=1e9" for name in names)
        raise UserError(f"{option} {text}: give {' and '.join(names)}, such as {option} {example}")
    return {name: named(option, name, given[name], quantities.positive) for name in names}
