"""Shapes of models by the few sizes that a study varies."""

from __future__ import annotations

from typing import Any

from models.config import TransformerConfig


def plain(width: int, layers: int, head_dim: int, **choices: Any) -> TransformerConfig:
    """A multi-head transformer of width / head_dim heads and a feed-forward width of 4 width.

    Squared ReLU and normalised queries and keys, unless `choices`, fields of the config, say else.
    """
    heads = width // head_dim
    fields = {"ffn": 4 * width, "mlp": "relu2", "qk_norm": "rmsnorm", **choices}
    return TransformerConfig(
        layers=layers, width=width, heads=heads, kv_heads=heads, head_dim=head_dim, **fields
    )
