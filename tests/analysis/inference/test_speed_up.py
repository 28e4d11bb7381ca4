"""Speed-ups of single runs against a pinned law, on arms whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anybody import TRUTH, ladder

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.inference.speed_up import speed_up
from analysis.tables.points import Points
from scaling import laws
from scaling.common.errors import UserError


@pytest.fixture(scope="module")
def reference() -> FitResult:
    return fit("chinchilla", ladder(), bootstrap=100)


def arm(factor: float, noise: float = 0.0, growth: float = 0.0, lift: float = 1.0) -> Points:
    """Four runs worth `factor` times their compute, times `growth` per decade."""
    size = np.geomspace(3e7, 1e9, 4)
    worth = np.sqrt(factor) * (size / size[0]) ** (growth * np.log(10) / np.log(100) / 2)
    loss = laws.chinchilla.predict(TRUTH, params=size * worth, tokens=20 * size * worth) * lift
    loss = loss * np.exp(np.random.default_rng(1).normal(0, noise, 4))
    labels = ("a", "b", "c", "d")
    return Points({"params": size, "tokens": 20 * size}, loss, np.ones(4), labels, pd.DataFrame())


def test_a_known_speed_up_with_noise_lies_in_its_interval(reference: FitResult):
    found = speed_up(reference, arm(1.5, noise=0.002))
    assert found.low < 1.5 < found.high
    assert found.value == pytest.approx(1.5, rel=0.1)
    assert 0.3 < found.scatter / found.expected < 3
    clean = speed_up(reference, arm(1.5))
    assert clean.scatter < found.scatter
    assert clean.factors == pytest.approx([1.5] * 4, rel=0.1)


def test_a_gain_that_grows_with_scale_is_seen(reference: FitResult):
    """A factor of 10^growth for each decade of size squared, the decade of compute."""
    found = speed_up(reference, arm(1.0, growth=0.5))
    value, low, _ = found.per_decade
    assert value > 1.2 and low > 1
    assert np.isnan(speed_up_of_two(reference).per_decade[0])


def speed_up_of_two(reference: FitResult):
    points = arm(2.0)
    two = {name: each[:2] for name, each in points.variables.items()}
    few = Points(two, points.loss[:2], np.ones(2), ("a", "b"), pd.DataFrame())
    return speed_up(reference, few)


def test_a_loss_that_the_reference_never_has_is_refused(reference: FitResult):
    with pytest.raises(UserError, match="at no compute"):
        speed_up(reference, arm(1.0, lift=0.5))
