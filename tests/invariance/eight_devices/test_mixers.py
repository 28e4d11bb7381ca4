"""Every mixer on several devices has the gradients of one device, all of them in one model."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from shared_out import TOLERANCE, differentiate

from scaling.common import plugins

HYBRID = ("gated_delta", "attention")
ALL = tuple(
    "sliding_window:window=4" if name == "sliding_window" else name
    for name in plugins.names("models.mixers")
)
LAYOUTS = {
    "fsdp 2, tensor 2": ("name=fsdp_tensor", "fsdp=2", "tensor=2"),
    "sequence 2, fsdp 2": ("name=sequence", "sequence=2", "fsdp=2"),
    "stage 2": ("name=pipeline", "stage=2"),
}


def model(pattern: tuple[str, ...]) -> tuple[str, ...]:
    """Two repeats of the pattern, so that there is one for each stage."""
    return f"model.pattern={','.join(pattern)}", f"model.layers={2 * len(pattern)}"


def test_all_mixers_are_tested() -> None:
    assert len(ALL) >= 7


@pytest.mark.parametrize(
    ("pattern", "layout"),
    [
        (HYBRID, "fsdp 2, tensor 2"),
        *(pytest.param(ALL, name, marks=pytest.mark.slow) for name in LAYOUTS),
    ],
)
def test_layout_has_the_gradients_of_one_device(pattern: tuple[str, ...], layout: str) -> None:
    fields = (f"execution.layout.{field}" for field in LAYOUTS[layout])
    alone, shared = differentiate(*model(pattern)), differentiate(*model(pattern), *fields)
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * float(np.abs(theirs).max()))
