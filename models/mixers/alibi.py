"""Causal attention whose scores fall with the distance, at a slope of each head; no rotation."""

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
    """As attention; the backward pass keeps its square three times."""
    found = attention.counts(c, context)
    return replace(found, name="alibi", kept=(*found.kept, *("hS",) * 3), kept_of_kernel={})


def module() -> type[nn.Module]:
    """The linen class."""
    from models.mixers._alibi import Alibi

    return Alibi


PART = Part(
    counts=counts,
    module=module,
    causal=True,
    documents="apart",
    source="Press et al. 2021, arXiv:2108.12409",
    reads=attention.PART.reads,
    forms=attention.PART.forms,
)
