"""Laws of loss curves, fitted to three schedules, predict curves under others within the noise."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.estimators.loss_curves import LossCurve, fit_curves
from analysis.fitting.types import FitStatus
from scaling.laws import Law
from scaling.laws.annealing import features, momentum, multi_power

PEAK, WARMUP = 3e-4, 300
NOISE = 1e-3
TRUTH = {
    "multi_power": (multi_power, multi_power.constants("luo2025_100M").values),
    "momentum": (
        momentum, {"L0": 2.7, "A": 0.55, "alpha": 0.5, "C": 1.2, "forgetting": 0.003}
    ),
}  # fmt: skip


def schedule(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate([np.linspace(0, PEAK, WARMUP), *parts])


def cosine(length: int) -> np.ndarray:
    turn = np.linspace(0, np.pi, length - WARMUP)
    return schedule(0.1 * PEAK + 0.9 * PEAK * (1 + np.cos(turn)) / 2)


SEEN = {
    "cosine": cosine(4000),
    "constant": schedule(np.full(3700, PEAK)),
    "step": schedule(np.full(1700, PEAK), np.full(2000, 0.3 * PEAK)),
}
UNSEEN = {
    "linear decay": schedule(np.full(3200, PEAK), np.linspace(PEAK, 0.1 * PEAK, 800)),
    "longer cosine": cosine(8000),
    "other step": schedule(np.full(1700, PEAK), np.full(2000, 0.6 * PEAK)),
}


def measured(law: Law, truth: dict[str, float], noise: float) -> list[LossCurve]:
    rng = np.random.default_rng(3)
    curves = []
    for name, lrs in SEEN.items():
        steps = np.arange(WARMUP, len(lrs), 50)
        loss = law.predict(truth, **features(lrs, steps))
        curves.append(LossCurve(name, lrs, steps, loss * np.exp(rng.normal(0, noise, len(loss)))))
    return curves


@pytest.mark.slow
@pytest.mark.parametrize("name", ["momentum", "multi_power"])
def test_exact_curves_give_back_the_law(name: str):
    law, truth = TRUTH[name]
    found = fit_curves(law, measured(law, truth, noise=0))
    assert found.status is FitStatus.CONVERGED
    assert dict(found.params) == pytest.approx(dict(truth), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTH)
def test_unseen_schedules_are_predicted_within_the_noise(name: str):
    law, truth = TRUTH[name]
    found = fit_curves(law, measured(law, truth, NOISE), objective="log_squared")
    assert found.status is FitStatus.CONVERGED
    for lrs in UNSEEN.values():
        steps = np.arange(WARMUP, len(lrs), 50)
        error = np.log(found.predict(lrs, steps) / law.predict(truth, **features(lrs, steps)))
        assert np.abs(error).max() < 2 * NOISE
