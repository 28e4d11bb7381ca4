"""Gated DeltaNet: a state of fixed size that decays, and is corrected towards each value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from models.config import TransformerConfig
from models.part import Part
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from flax import linen as nn


@dataclass(frozen=True)
class Sizes:
    """Sizes of a state of keys by values, and of the chunks of its sequence.

    Attributes:
        key: size of a key, over model.head_dim.
        value: size of a value, over model.head_dim.
        chunk: positions computed at once, at most: the largest power of two that divides T.
    """

    key: float = 0.75
    value: float = 1.5
    chunk: int = 32

    def letters(self, c: TransformerConfig, context: int) -> dict[str, int]:
        """The lengths of k, w and p."""
        most = 1 << (self.chunk.bit_length() - 1)
        sizes = {"k": round(self.key * c.head_dim), "w": round(self.value * c.head_dim)}
        return sizes | {"p": min(context & -context, most)}

    def refuses(self, c: TransformerConfig) -> str | None:
        """The reason why a model cannot have them."""
        for name, size in (("key", self.key), ("value", self.value)):
            if size * c.head_dim != round(size * c.head_dim) or size <= 0:
                return f"{name}={size:g} of model.head_dim={c.head_dim} is no size; choose another"
        return "chunk must be 1 or more" if self.chunk < 1 else None


@dataclass(frozen=True)
class Settings(Sizes):
    """Settings of the mixer. With d / h of each head, the default sizes are 6 d^2 weights.

    Attributes:
        beta: the most that is written; 2 allows negative eigenvalues, which track states.
    """

    beta: float = 1.0

    def refuses(self, c: TransformerConfig) -> str | None:
        """The reason why a model cannot have them."""
        if not 0 < self.beta <= 2:
            return f"beta={self.beta:g}: must lie in (0, 2]; above 2 a state grows without bound"
        return super().refuses(c)


def counts(s: Settings, c: TransformerConfig, context: int) -> Counts:
    """2 d h k + 3 d h w + 2 d h weights, 4 taps of each channel, and a decay of each head.

    Per token and head, with p positions of a chunk: 4 p k of scores, 4 p w of their averages,
    6 k w of the state, and 2 (p^2 - 4) / 3 of the inverse of a unit triangle.
    """
    own, h = s.letters(c, context), c.heads
    k, w, p = (own[letter] for letter in "kwp")
    gain = {"vector": w, "scalar": 1, "none": 0}[c.gains]
    biases = 2 * h * (k + w + 1) + c.width
    inverse = 2 * (p * p - 4) // 3 if p > 2 else 0
    return Counts(
        name="gated_delta",
        weights=("d->hk", "d->hk", "d->hw", "d->hw", "d->h", "d->h", "hw->d"),
        vectors=4 * h * (2 * k + w) + 2 * h + gain + biases * (c.biases == "all"),
        flops_mixing=h * (4 * p * (k + w) + 6 * k * w + inverse),
        flops_mixing_causal=h * (2 * p * (k + w) + 6 * k * w + inverse),
        state=("hkw", "chk", "chk", "chw"),
        # of q, k and v: before and after their taps, after silu; unit q and k; chunks of both
        kept=("hk",) * 10 + ("hw",) * 10 + ("hp",) * 6,
        kept_dots=("hk", "hk", "hw", "hw", "h", "h", "d"),
        gathered=("hk", "hk", "hw", "h", "h"),
        letters={**own, "c": 4},
    )


def part(s: Settings) -> Part:
    """The mixer with these settings."""

    def module() -> Callable[..., nn.Module]:
        from models.mixers._gated_delta import GatedDelta

        return partial(GatedDelta, counts=partial(counts, s), beta=s.beta)

    return Part(
        counts=partial(counts, s),
        module=module,
        causal=True,
        source="Yang et al. 2024, arXiv:2412.06464; beta=2: Grazzi et al. 2024, arXiv:2411.12537",
        reads=("heads", "head_dim"),
        rules=("gain", "bias", "base_head_dim"),
        refuses=s.refuses,
        settings=s,
        of=part,
    )


PART = part(Settings())
