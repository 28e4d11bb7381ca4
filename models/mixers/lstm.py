"""The LSTM: gates see the input and, by a whole recurrent matrix, the output before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.config import TransformerConfig
from models.part import Part
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from flax import linen as nn


def counts(c: TransformerConfig, context: int) -> Counts:
    """5 h k d + 4 (h k)^2 weights; a sequence keeps h k cells and outputs."""
    size = c.heads * c.head_dim
    return Counts(
        name="lstm",
        weights=("d->hk",) * 4 + ("s->hk",) * 4 + ("hk->d",),
        vectors=(4 * size + c.width) * (c.biases == "all"),
        state=("hk", "hk"),
        kept=("hk",) * 16,
        kept_dots=("hk",) * 4 + ("d",),
        gathered=("hk",) * 4,
        letters={"s": size},
    )


def module() -> type[nn.Module]:
    """The linen class."""
    from models.mixers._lstm import Lstm

    return Lstm


PART = Part(
    counts=counts,
    module=module,
    causal=True,
    source="Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000",
    reads=("heads", "head_dim"),
)
