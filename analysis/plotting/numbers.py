"""Numbers as text: parameters and tokens with a letter, FLOPs with a power of ten."""

from __future__ import annotations

import math

from scaling.common.answers import Ranged


def quantity(value: float, digits: int = 3) -> str:
    """259k, 1.2M, 4.4B, as for parameters and tokens; `scientific` outside that range."""
    for factor, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, "")):
        if factor <= value < factor * 1000:
            whole = len(str(int(value / factor)))
            return f"{_trim(f'{value / factor:.{max(0, digits - whole)}f}')}{letter}"
    return _trim(f"{value:.{digits}g}") if 1e-3 <= value < 1 else scientific(value)


def scientific(value: float) -> str:
    """1.8e13, as for FLOPs."""
    mantissa, _, power = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(power)}"


def ranged(value: Ranged, form: str, unit: str = "") -> str:
    """A value with its interval in brackets; alone where there is none (nan)."""
    mean, low, high = (f"{each:{form}}" for each in value)
    return f"{mean}{unit}" if math.isnan(value[1]) else f"{mean} [{low}, {high}]{unit}"


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
