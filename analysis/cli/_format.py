"""Numbers as the commands print them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LABELS: Mapping[str, str] = {
    "flops_6nd": "compute 6ND, FLOPs",
    "loss": "loss, nats/token",
    "loss_per_byte": "loss, nats/byte",
    "bits_per_byte": "loss, bits/byte",
    "tokens": "training tokens",
    "params_total": "parameters",
    "params_nonembedding": "parameters without embeddings",
}


def with_interval(value: Any, low: Any, high: Any, digits: int = 4) -> str:
    """`1.234 [1.1, 1.3]`, or the value alone where there is no interval."""
    text = f"{float(value):.{digits}g}"
    if math.isnan(low) or math.isnan(high):
        return text
    return f"{text} [{float(low):.{digits}g}, {float(high):.{digits}g}]"


def number(value: Any, digits: int = 4) -> str:
    """A number, or a dash where there is none."""
    return "-" if math.isnan(value) else f"{float(value):.{digits}g}"


def label(column: str) -> str:
    """A column as the axis of a figure names it, with its unit where it is known."""
    return LABELS[column] if column in LABELS else column.replace("_", " ")
