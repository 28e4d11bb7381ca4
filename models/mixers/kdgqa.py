"""KDGQA: grouped-query attention whose key heads have queries by the norms of their keys."""

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
    """The weights of attention; per token 4 h g k T FLOPs, for any query may read any key head.

    A sequence keeps the sum of squares of the keys of each key head besides.
    """
    whole = attention.counts(c, context)
    return replace(
        whole,
        name="kdgqa",
        flops_mixing=c.kv_heads * whole.flops_mixing,
        flops_mixing_causal=c.kv_heads * whole.flops_mixing_causal,
        state=(*whole.state, "g"),
        kept=("hk", "hk", "hgk", "hgk", "gk", "gk"),
        striped=("hgk", "gk", "gk", "hgk"),
    )


def module() -> type[nn.Module]:
    """The linen class."""
    from models.mixers._kdgqa import Kdgqa

    return Kdgqa


def refuses(c: TransformerConfig) -> str | None:
    """The reason why a model cannot have it."""
    if c.qk_norm != "none":
        return "its keys are told apart by their norms; set model.qk_norm=none"
    return None


SMALL = "a model.kv_heads * model.head_dim of at most 128 that 8 divides"

PART = Part(
    counts=counts,
    module=module,
    causal=True,
    source="Khan et al. 2024, arXiv:2408.08454",
    reads=("heads", "kv_heads", "head_dim"),
    kernels=attention.PART.kernels,
    needs={
        **attention.PART.needs,
        "cudnn": {
            **attention.PART.needs["cudnn"],
            SMALL: lambda s: (
                s.model.kv_heads * s.model.head_dim <= 128
                and s.model.kv_heads * s.model.head_dim % 8 == 0
            ),
        },
    },
    worth=attention.PART.worth,
    refuses=refuses,
)
