"""Names of columns and texts of estimates as the commands show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling.common.answers import Estimate

LABELS: Mapping[str, str] = {
    "flops_6nd": "compute 6ND, FLOPs",
    "loss": "loss, nats/token",
    "loss_per_byte": "loss, nats/byte",
    "bits_per_byte": "loss, bits/byte",
    "tokens": "training tokens",
    "params_total": "parameters",
    "params_nonembedding": "parameters without embeddings",
}


def estimates(found: Any) -> list[Estimate]:
    """The points of a prediction, each with its interval."""
    return [Estimate.of(ends) for ends in zip(found.value, found.low, found.high, strict=True)]


def label(column: str) -> str:
    """A column as the axis of a figure names it, with its unit where it is known."""
    return LABELS[column] if column in LABELS else column.replace("_", " ")
