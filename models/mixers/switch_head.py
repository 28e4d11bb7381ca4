"""SwitchHead: attention of few heads, whose values and outputs are of experts with sigmoid gates.

Theirs drops no token: set `model.capacity_factor` to experts / active.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from models.config import TransformerConfig
from models.mixers import attention
from models.part import Part
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from flax import linen as nn


@dataclass(frozen=True)
class Settings:
    """Settings of the mixer.

    Attributes:
        experts: of the values and of the outputs of each head.
        active: of those, the ones that a token goes to.
    """

    experts: int = 4
    active: int = 2

    def capacity(self, c: TransformerConfig, context: int) -> int:
        """The slots of an expert for a sequence, at most T."""
        even = self.active * context / self.experts
        return min(context, math.ceil(even * c.capacity_factor - 1e-9))

    def refuses(self, c: TransformerConfig) -> str | None:
        """The reason why a model cannot have them."""
        if not 1 <= self.active <= self.experts:
            return f"active={self.active}: must lie between 1 and experts={self.experts}"
        return None


def counts(s: Settings, c: TransformerConfig, context: int) -> Counts:
    """The weights of attention, of values and outputs E times, and (h + g) E d of two routers.

    A token meets A of the E. Of the slots, input and output are kept for the backward pass.
    """
    whole = attention.counts(c, context)
    per_token = math.ceil(s.experts * s.capacity(c, context) / context)
    slots = ("gd", "gk", "gk", "hk", "hd", "hd") * per_token
    return replace(
        whole,
        name="switch_head",
        weights=("d->hk", "d->gk", "d->gx", "x,d->gk", "d->hx", "x,hk->d"),
        copies_active=s.active,
        kept=(*whole.kept, *slots, "gx", "hx"),
        kept_dots=("hk", "gk"),
        letters={"x": s.experts},
    )


def part(s: Settings) -> Part:
    """The mixer with these settings."""

    def module() -> Callable[..., nn.Module]:
        from models.mixers._switch_head import SwitchHead

        return partial(SwitchHead, experts=s.experts, active=s.active, capacity=s.capacity)

    return Part(
        counts=partial(counts, s),
        module=module,
        causal=True,
        documents="apart",
        source="Csordas et al. 2023, arXiv:2312.07987",
        reads=(*attention.PART.reads, "capacity_factor"),
        norms=("pre", "peri"),
        positions="read",
        kernels=attention.PART.kernels,
        needs=attention.PART.needs,
        worth=attention.PART.worth,
        refuses=s.refuses,
        settings=s,
        of=part,
    )


PART = part(Settings())
