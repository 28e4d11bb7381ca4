"""Causal attention to the last positions alone."""

from __future__ import annotations

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
        window: positions that a query sees, its own among them.
    """

    window: int = 64


def keys_of(window: int, context: int) -> int:
    """Keys whose scores are computed for each query.

    Those of two windows where windows divide the context, else those of the whole context.
    """
    return 2 * window if context > 2 * window and context % window == 0 else context


def counts(s: Settings, c: TransformerConfig, context: int) -> Counts:
    """The weights of attention, and per token 4 h k FLOPs for each key: 8 h k w of windows w."""
    keys, window = keys_of(s.window, context), min(s.window, context)
    square = c.heads * c.head_dim
    whole = attention.counts(c, context)
    return replace(
        whole,
        name="sliding_window",
        flops_mixing=4 * square * keys,
        flops_mixing_causal=2 * square * keys,
        flops_softmax=3 * c.heads * keys,
        state=("pgk", "pgk"),
        kept=(*whole.kept, *("hp",) * 3 * (keys // window)),
        kept_of_kernel={},
        letters={"p": window},
    )


def part(s: Settings) -> Part:
    """The mixer with these settings."""

    def module() -> Callable[..., nn.Module]:
        from models.mixers._sliding_window import SlidingWindow

        return partial(SlidingWindow, window=s.window, keys=partial(keys_of, s.window))

    return Part(
        counts=partial(counts, s),
        module=module,
        causal=True,
        documents="apart",
        source="Beltagy et al. 2020, arXiv:2004.05150; causal: Jiang et al. 2023, arXiv:2310.06825",
        reads=attention.PART.reads,
        forms=attention.PART.forms,
        positions="read",
        refuses=lambda c: "window must be 1 or more" if s.window < 1 else None,
        settings=s,
        of=part,
    )


PART = part(Settings())
