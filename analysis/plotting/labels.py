"""Columns as the axes of figures name them, with their units where these are known."""

from __future__ import annotations

from collections.abc import Mapping

LABELS: Mapping[str, str] = {
    "flops_6nd": "compute 6ND, FLOPs",
    "loss": "loss, nats/token",
    "loss_per_byte": "loss, nats/byte",
    "bits_per_byte": "loss, bits/byte",
    "tokens": "training tokens",
    "params_total": "parameters",
    "params_nonembedding": "parameters without embeddings",
}


def label(column: str) -> str:
    """The name of an axis; a column that is not ours as it is written."""
    return LABELS[column] if column in LABELS else column.replace("_", " ")
