"""Texts of estimates as the commands show them."""

from __future__ import annotations

from typing import Any

from scaling.common.answers import Estimate


def estimates(found: Any) -> list[Estimate]:
    """The points of a prediction, each with its interval."""
    return [Estimate.of(ends) for ends in zip(found.value, found.low, found.high, strict=True)]
