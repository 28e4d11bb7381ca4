"""One exception for every mistake that the user can mend, shared by all rooms."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

# field: least and greatest value allowed, and the rule in words
Ranges = Mapping[str, tuple[float, float, str]]
AT_LEAST_ONE = (1, 2**53, "must be at least 1, and at most 2^53")
RIGHTS = "give yourself the right to it, or choose another place"  # a remedy
POSITIVE = (sys.float_info.min, sys.float_info.max, "must be positive and finite")


class UserError(Exception):
    """One clear line: which field, row or file is wrong, and the remedy.

    Command lines print it after ``error:`` and exit with 2; a stack trace is for our mistakes.
    """


SHOWN = 60  # letters of a value in a message


def nearest(word: object, choices: Iterable[str]) -> str:
    """The hint that ends an error about an unknown name: the nearest known one, or all of them."""
    known = sorted(filter(None, map(str, choices)))
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    if not known:
        return "there is none"
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


def stated(name: str, value: object) -> str:
    """An argument as given, in one short line."""
    return f"{name}={_short(repr(value))}"


def check_known(what: str, word: object, choices: Iterable[str]) -> None:
    """Check that a word is one of the choices; a list or a Series is none."""
    if not (isinstance(word, str) and word in choices):
        raise UserError(f"{what} '{_short(str(word))}': {nearest(word, choices)}")


def _short(text: str) -> str:
    whole = " ".join(text.split())
    return whole if len(whole) <= SHOWN else f"{whole[:SHOWN]}..."


def check_choices(section: str, config: Any) -> None:
    """Refuse a field of a dataclass that is annotated as a Literal and holds none of its names.

    So a config made in Python meets the same check as one overridden on the command line.
    """
    kind: Any = type(config)
    for name, choices in _choices(kind).items():
        if (value := getattr(config, name)) not in choices:
            raise UserError(f"{section}.{name}={value}: {nearest(str(value), map(str, choices))}")


def check_ranges(section: str, config: Any, ranges: Ranges) -> None:
    """Refuse a field of a dataclass that lies outside its range; NaN is in none."""
    for name, (least, greatest, rule) in ranges.items():
        if not least <= (value := getattr(config, name)) <= greatest:
            raise UserError(f"{section}.{name}={value}: {rule}")


@cache
def _choices(kind: type) -> Mapping[str, tuple[Any, ...]]:
    """The names that each Literal field of a class may hold."""
    hints = get_type_hints(kind).items()
    return {name: get_args(hint) for name, hint in hints if get_origin(hint) is Literal}
