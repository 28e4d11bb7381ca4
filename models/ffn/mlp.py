"""One feed-forward layer for all tokens, plain or gated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.config import TransformerConfig
from models.part import Part
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from flax import linen as nn


def matrices(c: TransformerConfig) -> int:
    """Matrices of one feed-forward layer: 3 where it is gated, else 2."""
    return 3 if c.mlp == "swiglu" else 2


def biases(c: TransformerConfig) -> int:
    """Biases of one feed-forward layer."""
    return (matrices(c) - 1) * c.ffn + c.width if c.biases == "all" else 0


def counts(c: TransformerConfig, context: int) -> Counts:
    """M d f weights. Kept are (2 M - 1) f: the input of the activation, its output and its slope;
    gated, also the other factor and the product."""
    M = matrices(c)
    return Counts(
        name="mlp",
        weights=("d->f",) * (M - 1) + ("f->d",),
        vectors=biases(c),
        kept=("f",) * (2 * M - 1),
        kept_dots=("f",) * (M - 1),
    )


def module() -> type[nn.Module]:
    """The linen class."""
    from models.ffn._mlp import Mlp

    return Mlp


PART = Part(
    counts=counts,
    module=module,
    causal=True,
    reads=("ffn", "mlp"),
    documents="apart",
    norms=("pre", "peri"),
    forms=("dense", "low_rank_sparse"),
    source="gated: Shazeer 2020, arXiv:2002.05202",
)
