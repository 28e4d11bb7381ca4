"""Retention: linear attention in chunks, whose past decays at a fixed speed of each head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from models.config import TransformerConfig
from models.mixers import gated_delta
from models.part import Part
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from flax import linen as nn


@dataclass(frozen=True)
class Settings(gated_delta.Sizes):
    """Settings of the mixer; with the published sizes it has 8 d^2 weights."""

    key: float = 1.0
    value: float = 2.0

    def refuses(self, c: TransformerConfig) -> str | None:
        """The reason why a model cannot have them."""
        size = self.key * c.head_dim
        odd = f"a key of {size:g}: retention rotates pairs, make it even" if size % 2 else None
        return super().refuses(c) or odd


def counts(s: Settings, c: TransformerConfig, context: int) -> Counts:
    """2 d h k + 3 d h w weights; per token and head 2 p (k + w) of chunks of p positions, 4 k w."""
    own, h = s.letters(c, context), c.heads
    k, w, p = (own[letter] for letter in "kwp")
    gain = {"vector": w, "scalar": 1, "none": 0}[c.gains]
    biases = 2 * h * (k + w) + c.width
    return Counts(
        name="retention",
        weights=("d->hk", "d->hk", "d->hw", "d->hw", "hw->d"),
        vectors=gain + biases * (c.biases == "all"),
        flops_mixing=h * (2 * p * (k + w) + 4 * k * w),
        flops_mixing_causal=h * (p * (k + w) + 4 * k * w),
        state=("hkw",),
        kept=("hk",) * 5 + ("hw",) * 8 + ("hp",) * 2,
        kept_dots=("hk", "hk", "hw", "hw", "d"),
        gathered=("hk", "hk", "hw"),
        letters=own,
    )


def part(s: Settings) -> Part:
    """The mixer with these settings."""

    def module() -> Callable[..., nn.Module]:
        from models.mixers._retention import Retention

        return partial(Retention, counts=partial(counts, s))

    return Part(
        counts=partial(counts, s),
        module=module,
        causal=True,
        source="Sun et al. 2023, arXiv:2307.08621",
        reads=("heads", "head_dim"),
        positions="read",
        refuses=s.refuses,
        settings=s,
        of=part,
    )


PART = part(Settings())
