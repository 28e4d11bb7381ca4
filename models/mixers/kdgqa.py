"""Key-driven grouped queries: a key head has queries in proportion to the norms of its keys.

Theirs takes the norms of all keys of a batch, of images. Here they are of the keys up to the query,
so that nothing leaks. Products are made of every query head with every key head, and one is chosen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.config import TransformerConfig
from models.mixers import attention
from models.part import Part
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from flax import linen as nn


def counts(c: TransformerConfig, context: int) -> Counts:
    """As attention, with 4 h g k T FLOPs per token; a sequence keeps the norms of its keys too."""
    found = attention.counts(c, context)
    g = c.kv_heads
    return replace(
        found,
        name="kdgqa",
        flops_mixing=g * found.flops_mixing,
        flops_mixing_causal=g * found.flops_mixing_causal,
        state=("Sgk", "Sgk", "g"),
        kept=(*found.kept, *("hS",) * 3, "hgk", "hgk", "hg"),
        kept_of_kernel={},
    )


def module() -> type[nn.Module]:
    """The linen class."""
    from models.mixers._kdgqa import KeyDriven

    return KeyDriven


PART = Part(
    counts=counts,
    module=module,
    causal=True,
    source="Khan et al. 2024, arXiv:2408.08454, from its summary: details of theirs may differ",
    reads=attention.PART.reads,
)
