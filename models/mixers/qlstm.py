"""The quasi-LSTM of Languini: an LSTM whose gates see the input alone, so that it is a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.config import TransformerConfig
from models.part import Part
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from flax import linen as nn


def counts(c: TransformerConfig, context: int) -> Counts:
    """5 h k d weights; the recurrence is elementwise, and a sequence keeps its h k cells."""
    size = c.heads * c.head_dim
    return Counts(
        name="qlstm",
        weights=("d->hk",) * 4 + ("hk->d",),
        vectors=(4 * size + c.width) * (c.biases == "all"),
        state=("hk",),
        kept=("hk",) * 14,
        kept_dots=("hk",) * 4 + ("d",),
        gathered=("hk", "hk"),
    )


def module() -> type[nn.Module]:
    """The linen class."""
    from models.mixers._lstm import QuasiLstm

    return QuasiLstm


PART = Part(
    counts=counts,
    module=module,
    causal=True,
    source="Stanic et al. 2023, arXiv:2309.11197",
    reads=("heads", "head_dim"),
)
