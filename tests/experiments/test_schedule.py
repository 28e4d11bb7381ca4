from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from experiments.hypers import hypers
from experiments.schedule import SHAPES, fraction

# 100 steps, 10 of warm-up, WSD's last 20 to a tenth of the peak
ASSIGNMENTS = (
    "budget.tokens=6400",
    "schedule.warmup_fraction=0.1",
    "schedule.decay_fraction=0.2",
    "schedule.final_fraction=0.1",
)
# step: the fraction there, by hand
TABLE = {
    "linear": {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 55: 0.55, 99: 1 - 0.9 * 89 / 90, 100: 0.1},
    "cosine": {
        0: 0.1,
        9: 1.0,
        10: 1.0,
        55: 0.55,
        99: 0.1 + 0.45 * (1 + math.cos(math.pi * 89 / 90)),
        100: 0.1,
    },
    "wsd": {0: 0.1, 9: 1.0, 55: 1.0, 80: 1.0, 90: 0.55, 99: 1 - 0.9 * 19 / 20, 100: 0.1},
    "constant": {0: 0.1, 9: 1.0, 55: 1.0, 99: 1.0, 100: 1.0},
}


def leaves(name: str, *assignments: str):
    return hypers(tiny.config(*ASSIGNMENTS, f"schedule.name={name}", *assignments).science)


def test_every_schedule_has_its_table():
    assert set(TABLE) == set(SHAPES)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_fraction_at_warmup_middle_and_end(name):
    for step, expected in TABLE[name].items():
        found = float(fraction(name, jnp.int32(step), leaves(name)))
        assert found == pytest.approx(expected, abs=1e-6), (name, step)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_lengths_may_be_traced_and_mapped(name):
    """One program serves schedules of several lengths, and each is what it is alone."""
    singles = [leaves(name, f"budget.tokens={64 * steps}") for steps in (50, 100, 400)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *singles)
    steps = jnp.arange(400)

    def curve(h):
        return jax.vmap(lambda step: fraction(name, step, h))(steps)

    together = jax.jit(jax.vmap(curve))(stacked)
    for alone, row in zip(singles, together, strict=True):
        np.testing.assert_allclose(curve(alone), row, rtol=1e-6)
        assert 0 <= row.min() <= row.max() <= 1


@pytest.mark.parametrize("name", sorted(TABLE))
def test_extreme_fractions_stay_finite(name):
    for warmup, decay in ((0.0, 0.0), (1.0, 1.0)):
        h = leaves(name, f"schedule.warmup_fraction={warmup}", f"schedule.decay_fraction={decay}")
        curve = np.array([float(fraction(name, jnp.int32(t), h)) for t in range(0, 100, 9)])
        assert np.isfinite(curve).all()
        assert curve[0] == pytest.approx(1.0 if warmup == 0 else 0.01)
