"""The leak of a router is the difference of two real losses of the same parameters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
import tiny

from experiments.evaluation.tasks import leak
from experiments.training.hypers import hypers
from experiments.training.step import evaluate, init_state, recipe
from models.config import Phase

WINDOWS = np.random.default_rng(0).integers(0, 256, (4, 17), np.int32)


@pytest.mark.parametrize(
    ("router", "leaks"), [("s_base", True), pytest.param("hash", False, marks=pytest.mark.slow)]
)
def test_a_router_that_balances_a_sequence_leaks(router: str, leaks: bool) -> None:
    config = tiny.config("model.experts=4", f"model.router={router}", "model.capacity_factor=2")
    made, leaves = recipe(config), hypers(config.science)

    @jax.jit
    def losses(windows: jax.Array) -> Any:
        state = init_state(made, leaves)
        return [evaluate(made, state, windows[None], phase) for phase in ("evaluation", "training")]

    causal, trained = losses(WINDOWS)

    class Model:
        def loss(self, windows: np.ndarray, phase: Phase = "evaluation") -> float:
            return float({"evaluation": causal, "training": trained}[phase])

    mixture = SimpleNamespace(valid=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leak.data, "validation_windows", lambda *_: WINDOWS)
        found = leak.evaluate(Model(), mixture, config.science).metrics["loss"]
    assert found == pytest.approx(float(causal) - float(trained), abs=1e-7)
    assert (abs(found) > 1e-6) == leaks
