"""MoE++: a mixture of experts, some of which cost nothing, so that easy tokens have fewer others.

    zero      0
    copy      x
    constant  a x + (1 - a) v,  a = softmax(x W)_1,  v of its own

A token chooses K of E feed-forward experts and these Z. The balance of the load has price 1 for
an expert of the first kind and `share` for one of the second, so it is least where

    f_E / f_Z = share;    of K choices  K share E / (share E + Z)  have slots

and the slots are as many, times model.capacity_factor. `model.router=gating_residual` is theirs.
They renormalise weights after the choice; here weights are the router's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from models.config import TransformerConfig, find_part
from models.ffn import experts
from models.ffn.mlp import biases
from models.part import Part, router
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from flax import linen as nn


@dataclass(frozen=True)
class Settings:
    """Settings of the layer.

    Attributes:
        zero: experts whose output is zero.
        copy: experts whose output is their input.
        constant: experts whose output is a mean of their input and a vector of their own.
        share: choices of a feed-forward expert over those of one that costs nothing, at balance.
    """

    zero: int = 1
    copy: int = 1
    constant: int = 2
    share: float = 0.75

    @property
    def free(self) -> int:
        """Experts that cost nothing."""
        return self.zero + self.copy + self.constant

    def met(self, c: TransformerConfig) -> float:
        """Feed-forward experts of a token, in the mean at balance."""
        weight = self.share * c.experts
        return c.experts_active * weight / (weight + self.free)

    def capacity(self, c: TransformerConfig, context: int) -> int:
        """The slots of a feed-forward expert for a sequence, at most T."""
        even = self.met(c) * context / c.experts
        return min(context, math.ceil(even * c.capacity_factor - 1e-9))


def refuses(s: Settings, c: TransformerConfig) -> str | None:
    """The reason why a model cannot have it."""
    if not c.experts:
        return "experts need model.experts; set it to their number"
    if min(s.zero, s.copy, s.constant) < 0 or not s.free:
        return "zero, copy and constant must be 0 or more, and one of them 1 or more"
    if not 0 < s.share <= 1:
        return f"share={s.share:g}: must lie in (0, 1]"
    found = router(c.router)
    if not found.causal or "router" not in found.weights:
        return f"model.router={c.router} gives each token experts with slots; choose top_k"
    sizes = {name for _, name in c.blocks if find_part("models.ffn", name).memory == "handed on"}
    if len(sizes) > 1 and any("r" in letters for letters in found.carries.values()):
        return f"model.router={c.router} hands on the logits of one layer; give all the same part"
    return None


def counts(s: Settings, c: TransformerConfig, context: int) -> Counts:
    """Experts, of which a token meets K share E / (share E + Z), a router of all choices,
    and of constants 3 d each."""
    whole, met = experts.counts(experts.Settings(), c, context), s.met(c)
    routing = [letters for _, letters in router(c.router).weights.values()]
    return replace(
        whole,
        name="zero_computation",
        weights=(*whole.weights, *(("d->qm", "q->d") if s.constant else ())),
        vectors=whole.vectors + s.free * routing.count("->r"),
        vectors_idle=round(biases(c) * (c.experts - met)),
        copies_active=met,
        slots=c.experts * s.capacity(c, context),
        rows=min(c.experts * s.capacity(c, context), c.experts_active * context),
        letters={**whole.letters, "r": c.experts + s.free, "q": s.constant, "m": 2},
    )


def part(s: Settings) -> Part:
    """The layer with these settings."""

    def module() -> Callable[..., nn.Module]:
        from models.ffn._zero_computation import ZeroComputation

        return partial(ZeroComputation, **vars(s), slots=s.capacity)

    return Part(
        counts=partial(counts, s),
        module=module,
        causal=True,
        memory="handed on",
        reads=experts.PART.reads,
        documents="apart",
        norms=experts.PART.norms,
        rules=("bias", "router") if s.constant else (),
        refuses=partial(refuses, s),
        settings=s,
        of=part,
        source="Jin et al. 2024, arXiv:2410.07348",
    )


PART = part(Settings())
