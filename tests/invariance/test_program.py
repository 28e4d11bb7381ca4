"""Every way of compiling a run gives the same curve."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from curves import batches, init, program, reference, run, stacked, train

TOLERANCE = 1e-5  # relative, float32


def test_scanned_and_unrolled_layers_start_from_the_same_bits() -> None:
    unrolled, scanned = (
        init(program(layers=layers))(run()).params for layers in ("unrolled", "scan")
    )
    jax.tree.map(np.testing.assert_array_equal, stacked(unrolled), scanned)
    assert (scanned["blocks"]["mlp"]["in"][0] != scanned["blocks"]["mlp"]["in"][1]).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"layers": "scan"},
        {"remat": "block"},
        {"remat": "dots", "logits_chunks": 4},
        {"backward": "barrier", "attention": "barrier"},
        {"layers": "scan", "remat": "dots", "backward": "barrier", "attention": "barrier"},
    ],
    ids=str,
)
def test_any_program_has_the_curve_of_the_plainest(fields: dict[str, Any]) -> None:
    _, losses = train(program(**fields), run(), batches())
    np.testing.assert_allclose(losses, reference()[1], rtol=TOLERANCE)


def test_one_step_per_dispatch_has_the_curve_of_eight() -> None:
    state, losses = train(program(), run(), batches(), per_dispatch=1)
    np.testing.assert_allclose(losses, reference()[1], rtol=TOLERANCE)
    assert int(state.step) == int(reference()[0].step) == len(losses)


def test_a_run_ends_at_its_last_step_in_the_middle_of_a_dispatch() -> None:
    state, losses = train(program(), run(steps=13), batches())
    assert int(state.step) == 13
    assert (losses[:13] > 0).all()
    assert (losses[13:] == 0).all()
