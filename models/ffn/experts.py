"""A mixture of experts: each token goes to some of several feed-forward layers.

    y_t = sum over the chosen experts e of p_te expert_e(x_t)

`model.router` chooses them (models/routers). Each expert has C slots in every sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.config import TransformerConfig
from models.ffn.mlp import biases, matrices
from models.part import Part, router
from scaling.common.alphabet import parse
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from flax import linen as nn


def counts(c: TransformerConfig, context: int) -> Counts:
    """A router, and E times the weights of a feed-forward layer, of which a token meets A.

    All that has f is kept for each slot, and with it 2 d: the slot's input and its output. Under
    remat "dots" nothing of the experts is kept.
    """
    M, own = matrices(c), biases(c)
    routing = [letters for _, letters in router(c.router).weights.values()]
    of_router = tuple(letters for letters in routing if parse(letters).inputs)
    return Counts(
        name="experts",
        weights=of_router + ("e,d->f",) * (M - 1) + ("e,f->d",),
        vectors=own * c.experts + c.experts * (len(routing) - len(of_router)),
        vectors_idle=own * (c.experts - c.experts_active),
        copies_active=c.experts_active,
        kept=("f",) * (2 * M - 1) + ("d", "d"),
        slots=c.experts * c.capacity(context),
    )


def module() -> type[nn.Module]:
    """The linen class."""
    from models.ffn._experts import Experts

    return Experts


PART = Part(
    counts=counts,
    module=module,
    causal=True,
    memory="handed on",
    reads=("ffn", "mlp", "experts", "experts_active", "router", "capacity_factor"),
    source="Shazeer et al. 2017, arXiv:1701.06538",
)
