"""Numbers as people write them: `7B`, `1e9`, `20_000`. Each kind refuses the others in one line.

The letters k, M, B (or G) and T are 10^3, 10^6, 10^9 and 10^12. A value must be finite: `nan` and
`inf` parse as floats, and are no numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation

from scaling.common.errors import UserError

POWERS: Mapping[str, int] = {"k": 3, "K": 3, "M": 6, "B": 9, "G": 9, "T": 12}
MOST = 2**63 - 1  # of whole numbers; lengths and arrays hold no larger one
LOOSE = Context(prec=400, traps=[InvalidOperation])  # 1e999 is infinite, no error
WITH_LETTER = re.compile(rf"(.*\d\.?)\s?([{''.join(POWERS)}])")


def real(text: str) -> float:
    """A float, which may be infinite or none: for fields that have bounds of their own."""
    return float(_read(text))


def number(text: str) -> float:
    """A finite number."""
    return float(_exact(text))


def positive(text: str) -> float:
    """A finite number above 0."""
    value = number(text)
    if value <= 0:
        raise UserError(f"{text}: must lie above 0")
    return value


def not_negative(text: str) -> float:
    """A finite number of 0 or more."""
    value = number(text)
    if value < 0:
        raise UserError(f"{text}: must be 0 or more")
    return value


def share(text: str) -> float:
    """A number above 0 and up to 1."""
    value = number(text)
    if not 0 < value <= 1:
        raise UserError(f"{text}: must lie above 0 and up to 1")
    return value


def integer(text: str) -> int:
    """A whole number; `1e3` is one."""
    exact = _exact(text)
    if exact != exact.to_integral_value():
        raise UserError(f"{text}: must be a whole number")
    return int(exact)


def whole(text: str) -> int:
    """A whole number of 0 or more, which a machine can count to."""
    value = integer(text)
    if value < 0:
        raise UserError(f"{text}: must be 0 or more")
    if value > MOST:
        raise UserError(f"{text}: must be below 2^63")
    return value


def count(text: str) -> int:
    """A whole number of 1 or more."""
    value = whole(text)
    if value < 1:
        raise UserError(f"{text}: must be at least 1")
    return value


def counts(text: str) -> tuple[int, ...]:
    """Counts between commas: `64,128`."""
    return tuple(count(part) for part in text.split(","))


def positives(text: str) -> tuple[float, ...]:
    """Positive numbers between commas: `1e3,1e4`."""
    return tuple(positive(part) for part in text.split(","))


def is_number(text: str) -> bool:
    """Tell if a text is written as a number, finite or not."""
    return _decimal(text) is not None


def _exact(text: str) -> Decimal:
    value = _read(text)
    if not math.isfinite(float(value)):
        raise UserError(f"{text}: must be a finite number")
    return value


def _read(text: str) -> Decimal:
    value = _decimal(text)
    if value is None:
        raise UserError(f"'{text}' is not a number; write it as 7e9 or 7B")
    return value


def _decimal(text: str) -> Decimal | None:
    found = WITH_LETTER.fullmatch(text.strip())
    digits, power = (found[1], POWERS[found[2]]) if found else (text.strip(), 0)
    try:
        return Decimal(digits).scaleb(power, LOOSE)
    except InvalidOperation:
        return None
