"""A mixture of experts: each token goes to some of several feed-forward layers.

    y_t = sum over the chosen experts e of p_te expert_e(x_t) + sum over shared ones of expert(x_t)

`model.router` chooses them (models/routers). Each expert has C slots in every sequence. Fine
granularity is more experts of a smaller `model.ffn`, as many times more of them active.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from models.config import TransformerConfig
from models.ffn.mlp import biases, matrices
from models.part import Part, router
from scaling.common.alphabet import parse
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from flax import linen as nn


@dataclass(frozen=True)
class Settings:
    """Settings of the layer.

    Attributes:
        shared: further experts that every token goes to, each of width model.ffn, weight 1 (Dai et
            al. 2024, arXiv:2401.06066).
    """

    shared: int = 0


def refuses(s: Settings, c: TransformerConfig) -> str | None:
    """The reason why a model cannot have it."""
    if not c.experts:
        return "experts need model.experts; set it to their number"
    return f"shared={s.shared}: must be 0 or more" if s.shared < 0 else None


def counts(s: Settings, c: TransformerConfig, context: int) -> Counts:
    """A router, and E times the weights of a feed-forward layer, of which a token meets A.

    All that has f is kept for each slot, and with it 2 d: the slot's input and its output. So are
    the arrays of shared experts, as if each token were a slot of them. Under remat "dots" nothing
    of the experts is kept.
    """
    M, own = matrices(c), biases(c)
    # one layer as wide as all shared experts: one bias of its output
    shared = biases(replace(c, ffn=s.shared * c.ffn)) if s.shared else 0
    routing = [letters for _, letters in router(c.router).weights.values()]
    of_router = tuple(letters for letters in routing if parse(letters).inputs)
    return Counts(
        name="experts",
        weights=(
            *of_router,
            *("e,d->f",) * (M - 1),
            "e,f->d",
            *("d->f",) * (M - 1) * s.shared,
            *("f->d",) * s.shared,
        ),
        vectors=own * c.experts + c.experts * (len(routing) - len(of_router)) + shared,
        vectors_idle=own * (c.experts - c.experts_active),
        copies_active=c.experts_active,
        kept=("f",) * (2 * M - 1) * (1 + s.shared) + ("d", "d"),
        slots=c.experts * c.capacity(context),
        rows=min(c.experts * c.capacity(context), c.experts_active * context),
        letters=router(c.router).letters(c),
    )


def part(s: Settings) -> Part:
    """The layer with these settings."""

    def module() -> Callable[..., nn.Module]:
        from models.ffn._experts import Experts

        return partial(Experts, shared=s.shared)

    return Part(
        counts=partial(counts, s),
        module=module,
        causal=True,
        memory="handed on",
        reads=("ffn", "mlp", "experts", "experts_active", "router", "capacity_factor"),
        documents="apart",
        norms=("pre", "peri"),
        refuses=partial(refuses, s),
        settings=s,
        of=part,
        source="Shazeer et al. 2017, arXiv:1701.06538",
    )


PART = part(Settings())
