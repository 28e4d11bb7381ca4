"""Every mixer on several devices has the loss and gradients of one device, all in one model.

Gradients of a model of all mixers are worse conditioned than those of two: parameters moved by half
an ulp, 6e-8, have gradients that differ by 6e-5 of their norm. In float64 layouts agree to 4e-14 of
it. So layouts are held to be nearer than that move is; the loss they share to 1e-5.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from shared_out import TOLERANCE, apart, differentiate, loss_and_gradients

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


BY_DEPTH = (
    "model.layer_heads=0.5,1",
    "model.layer_ffn=0.5,1",
    "execution.program.layers=unrolled",
)


@pytest.mark.slow
@pytest.mark.parametrize("own", [model(HYBRID), BY_DEPTH], ids=["hybrid", "sizes"])
def test_layout_has_the_gradients_of_one_device(own: tuple[str, ...]) -> None:
    """The largest difference is 1e-5 of the largest gradient of a weight."""
    fields = (f"execution.layout.{field}" for field in LAYOUTS["fsdp 2, tensor 2"])
    alone, shared = differentiate(*own), differentiate(*own, *fields)
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * float(np.abs(theirs).max()))


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_has_the_loss_of_one_device_with_every_mixer(layout: str) -> None:
    fields = tuple(f"execution.layout.{field}" for field in LAYOUTS[layout])
    loss, alone = loss_and_gradients(*model(ALL))
    own, shared = loss_and_gradients(*model(ALL), *fields)
    assert float(own) == pytest.approx(float(loss), rel=TOLERANCE)
    half_an_ulp = float(jnp.finfo(jnp.float32).eps) / 2
    _, moved = loss_and_gradients(*model(ALL), moved=half_an_ulp)
    assert apart(shared, alone) < apart(moved, alone) < 1e-3
