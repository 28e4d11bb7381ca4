"""Points at which a command predicts: `--at params=7B,tokens=140B`, one point each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.cli._table_options import named, pairs
from scaling.common import quantities
from scaling.common.errors import UserError


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


def _point(text: str, names: Sequence[str], option: str) -> Mapping[str, float]:
    if len(names) == 1 and "=" not in text:
        text = f"{names[0]}={text}"
    given = pairs(option, text.split(","))
    if set(given) != set(names):
        example = ",".join(f"{name}=1e9" for name in names)
        raise UserError(f"{option} {text}: give {' and '.join(names)}, such as {option} {example}")
    return {name: named(option, name, given[name], quantities.positive) for name in names}
