"""Numbers as people and trackers write them: `1.2B`, `70M`, `6,000`, `4,12`, `2.0×10¹⁹`, `3e9`.

A comma or a point is a decimal mark or separates thousands. The cells of a column, or of a whole
file, are judged together. Where they leave it open, no cell with a comma is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal

from scaling.common.quantities import POWERS

Mark = Literal[".", ",", "?"]  # the decimal mark; "?" where the cells do not tell

LETTERS = {"thousand": "k", "mn": "M", "million": "M", "bn": "B", "billion": "B", "tn": "T",
           "trillion": "T"}  # fmt: skip
SCALE: Mapping[str, float] = {
    "": 1.0,
    **{letter.lower(): 10.0**power for letter, power in POWERS.items()},
    **{word: 10.0 ** POWERS[letter] for word, letter in LETTERS.items()},
}
UNITS = ("tokens", "token", "params", "parameters", "flops", "flop", "steps", "nats", "nats/token")
MISSING = (
    "", "nan", "na", "n/a", "<na>", "nat", "none", "null", "-", "–", "—", "--", "?",
    "#n/a", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!",  # of spreadsheets
)  # fmt: skip
INFINITE = ("inf", "infinity", "∞")
SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺−", "0123456789-+-")
BLANK = "\u00a0\u2009\u202f"  # blanks that separate thousands
NUMBER = re.compile(
    r"(?P<sign>[-+]?)(?P<digits>\d[\d.,_'’ ]*|[.,]\d+)(?P<power>e[-+]?\d+)?\s*(?P<word>[a-z/ ]*)",
    re.I,
)
TIMES = re.compile(
    r"(?:(?P<head>.*?)\s*[x×·*]\s*)?10\s*(?:\^|\*\*|(?=[⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹]))\s*(?P<power>\S+)"
)
GROUPS = {mark: re.compile(rf"\d{{1,3}}(?:[{apart}]\d{{3}})+") for mark, apart in
          ((".", r",_'’ "), (",", r"._'’ "))}  # fmt: skip


def is_missing(text: str) -> bool:
    """True for an empty cell, and for the words that stand for one."""
    return text.strip().lower() in MISSING


def decimal_mark(cells: Iterable[str]) -> Mark:
    """The decimal mark of cells that belong together.

    `4,12` and `1.299,5` say comma; `4.12`, `1,299.5`, `1,299,000` and `6,000` say point. `4,122`
    alone says neither.
    """
    comma = point = open_ = False
    for cell in cells:
        found = NUMBER.fullmatch(cell.translate(SUPERSCRIPT).strip())
        digits = found["digits"].strip() if found else ""
        if "," not in digits:
            point |= "." in digits and digits.count(".") == 1
            comma |= digits.count(".") > 1
        elif "." in digits:
            last = max(digits.rfind(","), digits.rfind("."))
            comma, point = comma | (digits[last] == ","), point | (digits[last] == ".")
        elif GROUPS["."].fullmatch(digits) and (digits.count(",") > 1 or digits.endswith(",000")):
            point = True
        elif GROUPS["."].fullmatch(digits) and not digits.startswith("0"):
            open_ = True
        else:
            comma |= digits.count(",") == 1
    if comma and point:
        return "?"
    return "," if comma else "?" if open_ and not point else "."


def number(text: str, mark: Mark = ".") -> float | None:
    """The number that a text says, or None where it says none."""
    text = text.strip().translate(str.maketrans(BLANK, " " * len(BLANK)))
    power = ""
    times = TIMES.fullmatch(text)
    if times:
        text, power = times["head"] or "1", times["power"]
    text = text.translate(SUPERSCRIPT)
    if text.lower().lstrip("+-") in INFINITE:
        return -math.inf if text.startswith("-") else math.inf
    found = NUMBER.fullmatch(text)
    if found is None:
        return None
    scale = _scale(found["word"])
    digits = _plain(found["digits"].strip(), mark)
    if scale is None or digits is None:
        return None
    try:
        value = float(f"{found['sign']}{digits}{found['power'] or ''}")
        return value * scale * 10.0 ** float(power.translate(SUPERSCRIPT) or 0)
    except (ValueError, OverflowError):
        return None


def unit(text: str) -> str:
    """The word behind a number that is a unit and no scale: `nats` of `4.12 nats`."""
    found = NUMBER.fullmatch(text.strip().translate(SUPERSCRIPT))
    return "" if found is None else _split(found["word"].lower())[1]


def is_scaled(text: str) -> bool:
    """True for a number with K, M, B or T behind it."""
    found = NUMBER.fullmatch(text.strip().translate(SUPERSCRIPT))
    return found is not None and bool(_split(found["word"].lower())[0])


def cause(text: str, mark: Mark = ".") -> str:
    """The reason that a text is no number."""
    found = NUMBER.fullmatch(text.strip().translate(SUPERSCRIPT))
    if found is None:
        return "a share in percent" if re.fullmatch(r"[\d.,]+\s*%", text.strip()) else "text"
    if _scale(found["word"]) is None:
        return f"unit '{found['word']}' is not K, M, B or T"
    if mark == "?" and "," in found["digits"]:
        return "its comma may mark decimals or thousands: write it without"
    return "not written as a number"


def _split(word: str) -> tuple[str, str]:
    """A scale and a unit: `btokens` is b and tokens."""
    for each in ("", *UNITS):
        head = word.removesuffix(each)
        if word.endswith(each) and head.strip() in SCALE:
            return head.strip(), each
    return "", word


def _scale(word: str) -> float | None:
    head, rest = _split(word.lower())
    return SCALE[head] if rest in ("", *UNITS) else None


def _plain(digits: str, mark: Mark) -> str | None:
    """Digits with a decimal point and nothing else; None where groups are not of three."""
    if mark == "?":
        return digits if "," not in digits and re.fullmatch(r"\d*\.?\d*", digits) else None
    whole, _, rest = digits.partition(mark)
    if not re.fullmatch(r"\d*", rest):
        return None
    if whole.isdigit() or not whole:
        return f"{whole}.{rest}" if rest else whole
    return f"{re.sub(r'[^0-9]', '', whole)}.{rest or 0}" if GROUPS[mark].fullmatch(whole) else None
