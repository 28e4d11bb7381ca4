from __future__ import annotations

from dataclasses import replace

import pytest

from models.config import TransformerConfig
from scaling.common.errors import UserError
from scaling.counting.formulas import flops_model
from scaling.machines.chips import chip
from scaling.machines.layout import Layout
from scaling.machines.memory import Step
from scaling.machines.roofline import roofline, utilisation

V5E = chip("v5e")
DIMS = TransformerConfig(
    layers=8,
    width=1024,
    heads=8,
    kv_heads=8,
    head_dim=128,
    ffn=4096,
    vocab_size=1024,
    gains="none",
).dims(1024)
STEP = Step(
    sequences=64,
    microbatch=64,
    steps=1,
    state_copies=2,
    compute_bytes=2,
    attention="xla",
    logits_chunks=1,
    remat="none",
)


def test_utilisation_by_hand() -> None:
    """6e15 FLOPs in 2 s on 10 chips of 1e15 FLOP/s."""
    assert utilisation(6e15, 2.0, 10, 1e15) == pytest.approx(0.3)


def test_compute_is_flops_over_all_peaks() -> None:
    found = roofline(DIMS, STEP, Layout("data").over(4), V5E, "bfloat16")
    assert found.flops_model == flops_model(DIMS) * 64 * 1024
    assert found.compute_seconds == pytest.approx(found.flops_model / 4 / 1.97e14)


def test_hbm_traffic_by_hand() -> None:
    """N parameters: 3 passes over them in bfloat16; once, 2 * 12 N of state and 4 N of gradients;
    twice the activations and the logits."""
    n = 12 * 8 * 1024**2 + 1024 * 1024
    layer = 6 * 1024 + 5 * 1024 + 3 * 4096 + 3 * 8 * 1024
    activations = 2 * 64 * 1024 * (8 * layer + 3 * 1024)
    logits = 8 * 64 * 1024 * 1024
    found = roofline(DIMS, STEP, Layout(), V5E, "bfloat16")
    assert found.hbm_bytes == (6 + 28) * n + 2 * (activations + logits)
    # in two microbatches: the weights once more, and gradients added up, read and written each time
    halves = roofline(DIMS, replace(STEP, microbatch=32), Layout(), V5E, "bfloat16")
    assert halves.hbm_bytes - found.hbm_bytes == 6 * n + 2 * 8 * n


def test_remat_is_work_of_the_hardware_and_no_mfu() -> None:
    """In the layers 6 N becomes 8 N; the readout is done once."""
    found = roofline(DIMS, replace(STEP, remat="block"), Layout(), V5E, "bfloat16")
    assert found.mfu(1.0) == pytest.approx(found.flops_model / 1.97e14)
    in_layers = found.flops_model - 6 * 1024 * 1024 * 64 * 1024
    assert found.flops_hardware == pytest.approx(found.flops_model + in_layers / 3)


def test_the_longest_of_three_is_the_bound() -> None:
    found = roofline(DIMS, STEP, Layout("fsdp").over(4), V5E, "bfloat16")
    for name in ("compute", "hbm", "network"):
        slow = replace(found, **{f"{name}_seconds": 99.0})  # type: ignore[arg-type]
        assert (slow.bound, slow.seconds) == (name, 99.0)


def test_a_bubble_lengthens_the_step() -> None:
    found = roofline(DIMS, STEP, Layout("pipeline", stage=4, parts=8).over(4), V5E, "bfloat16")
    assert found.seconds == pytest.approx(max(found.bounds.values()) * 11 / 8)


def test_an_mfu_beyond_the_bound_is_not_believed() -> None:
    found = roofline(DIMS, STEP, Layout(), V5E, "bfloat16")
    assert found.mfu(found.seconds_at(0.1)) == pytest.approx(0.1)
    assert found.seconds_at(1.0) == found.seconds


def test_a_dtype_that_the_chip_lacks() -> None:
    with pytest.raises(UserError, match="precision=float8"):
        roofline(DIMS, STEP, Layout(), V5E, "float8")
