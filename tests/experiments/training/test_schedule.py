from __future__ import annotations

import math
from typing import get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from experiments.__main__ import main
from experiments.cli.schedules import figure
from experiments.config.schedule import DECAYS, ScheduleConfig
from experiments.training.hypers import hypers
from experiments.training.schedule import SCHEDULES, SHAPES, fraction
from scaling.common.errors import UserError

# 100 steps of 64 tokens: 10 of warm-up, where it is chosen 20 of decay, to a tenth of the peak.
# Power leaves the peak at n = 640 tokens, step 9: eta = 4 sequences * a * 640^-1/2.
ASSIGNMENTS = (
    "budget.tokens=6400",
    "schedule.warmup_fraction=0.1",
    "schedule.decay_fraction=0.2",
    "schedule.final_fraction=0.1",
    "schedule.settling_fraction=0.3",
    "schedule.plateau_fraction=0.4",
    "schedule.power_exponent=-0.5",
    f"schedule.power_amplitude={3e-3 / 4 * 640**0.5}",
)
SHAPES_TO_CHOOSE = get_args(get_type_hints(ScheduleConfig)["decay_shape"])
WARM = {0: 0.1, 4: 0.5, 9: 1.0}
LAST = 19 / 20  # of the decay, at step 99
# (schedule, shape) -> step: the fraction there, by hand
TABLE = {
    ("linear", "linear"): {10: 1.0, 55: 0.55, 99: 1 - 0.9 * 89 / 90, 100: 0.1},
    ("cosine", "linear"): {
        10: 1.0,
        55: 0.55,
        99: 0.1 + 0.45 * (1 + math.cos(math.pi * 89 / 90)),
        100: 0.1,
    },
    ("wsd", "linear"): {55: 1.0, 80: 1.0, 90: 0.55, 99: 1 - 0.9 * LAST, 100: 0.1},
    ("wsd", "cosine"): {
        80: 1.0,
        85: 0.1 + 0.45 * (1 + math.cos(math.pi / 4)),
        90: 0.55,
        99: 0.1 + 0.45 * (1 + math.cos(math.pi * LAST)),
        100: 0.1,
    },
    ("wsd", "mirror_cosine"): {  # as far above the line as the cosine is below it
        80: 1.0,
        85: 2 * (1 - 0.9 / 4) - (0.1 + 0.45 * (1 + math.cos(math.pi / 4))),
        90: 0.55,
        95: 2 * (1 - 0.9 * 3 / 4) - (0.1 + 0.45 * (1 + math.cos(math.pi * 3 / 4))),
        100: 0.1,
    },
    ("wsd", "1-sqrt"): {80: 1.0, 85: 0.55, 90: 1 - 0.9 * 0.5**0.5, 99: 1 - 0.9 * LAST**0.5},
    ("wsd", "square"): {80: 1.0, 90: 1 - 0.9 / 4, 99: 1 - 0.9 * LAST**2, 100: 0.1},
    ("wsd", "exponential"): {80: 1.0, 90: 0.1**0.5, 99: 0.1**LAST, 100: 0.1},
    ("constant", "linear"): {55: 1.0, 99: 1.0, 100: 1.0},
    ("trapezoid", "square"): {55: 1.0, 80: 1.0, 90: 0.55, 99: 1 - 0.9 * LAST},
    ("multistep", "linear"): {55: 1.0, 80: 1.0, 81: 0.1**0.5, 90: 0.1**0.5, 91: 0.1, 99: 0.1},
    ("inverse_sqrt", "linear"): {
        10: (10 / 11) ** 0.5,
        39: 0.5,
        80: (10 / 81) ** 0.5,
        90: ((10 / 81) ** 0.5 + 0.1) / 2,
        100: 0.1,
    },
    ("power", "exponential"): {
        10: (10 / 11) ** 0.5,
        39: 0.5,
        80: (10 / 81) ** 0.5,
        90: ((10 / 81) ** 0.5 * 0.1) ** 0.5,
        100: 0.1,
    },
    ("infinite", "1-sqrt"): {10: 1.0, 25: 0.7, 40: 0.4, 80: 0.4, 85: 0.25, 100: 0.1},
}


def leaves(name: str, *assignments: str, shape: str = "linear"):
    kind = (f"schedule.name={name}", f"schedule.decay_shape={shape}")
    return hypers(tiny.config(*ASSIGNMENTS, *kind, *assignments).science)


def test_every_schedule_and_every_shape_has_its_table():
    assert {name for name, _ in TABLE} == set(SCHEDULES) == set(DECAYS)
    assert {shape for name, shape in TABLE if name == "wsd"} == set(SHAPES_TO_CHOOSE)
    assert set(SHAPES_TO_CHOOSE) | {"staircase", "none"} == set(SHAPES)


@pytest.mark.parametrize(("name", "shape"), TABLE)
def test_fraction_at_warmup_middle_and_end(name, shape):
    for step, expected in {**WARM, **TABLE[name, shape]}.items():
        found = float(fraction(name, shape, jnp.int32(step), leaves(name, shape=shape)))
        assert found == pytest.approx(expected, abs=2e-6), (name, shape, step)


@pytest.mark.parametrize(("name", "shape"), TABLE)
def test_lengths_may_be_traced_and_mapped(name, shape):
    """One program serves schedules of several lengths, and each is what it is alone."""
    singles = [leaves(name, f"budget.tokens={64 * steps}", shape=shape) for steps in (50, 100, 400)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *singles)
    steps = jnp.arange(400)

    def curve(h):
        return jax.vmap(lambda step: fraction(name, shape, step, h))(steps)

    together = jax.jit(jax.vmap(curve))(stacked)
    for alone, row in zip(singles, together, strict=True):
        np.testing.assert_allclose(curve(alone), row, rtol=1e-5)
        assert 0 <= row.min() <= row.max() <= 1
        falls = np.diff(row[int(alone.warmup_steps) :])
        assert (falls <= 1e-6).all()  # after warm-up a rate never rises


@pytest.mark.parametrize(("name", "shape"), TABLE)
def test_extreme_fractions_stay_finite(name, shape):
    none = {"schedule.decay_fraction": 0.0, "schedule.settling_fraction": 0.0}
    for extreme in ({}, {"schedule.warmup_fraction": 1.0}, {"schedule.decay_fraction": 1.0}):
        values = {"schedule.warmup_fraction": 0.0, **none, **extreme}
        h = leaves(name, *(f"{path}={value}" for path, value in values.items()), shape=shape)
        curve = np.array([float(fraction(name, shape, jnp.int32(t), h)) for t in range(0, 100, 9)])
        assert np.isfinite(curve).all()
        assert curve[0] == pytest.approx(0.01 if values["schedule.warmup_fraction"] else 1.0)


def test_plateau_below_the_final_fraction_is_not_raised_to_it():
    h = leaves("inverse_sqrt", "schedule.final_fraction=0.9")
    found = [float(fraction("inverse_sqrt", "linear", jnp.int32(t), h)) for t in (80, 90, 99)]
    assert found == pytest.approx([(10 / 81) ** 0.5] * 3)


def test_power_is_the_formula_in_tokens_and_sequences():
    """eta(n) = min(eta_max, beta a n^b): no other field of the run enters it."""
    config = tiny.config(
        "schedule.name=power",
        "schedule.warmup_fraction=0.0",
        "schedule.decay_fraction=0.0",
        "optimizer.learning_rate=0.5",
        "batch.sequences=8",
        "budget.tokens=1e6",
    )
    h = hypers(config.science)
    for step in (0, 9, 99, 999, 6999):
        n = (step + 1) * 8 * 16
        rate = 0.5 * float(fraction("power", "linear", jnp.int32(step), h))
        assert rate == pytest.approx(min(0.5, 8 * 4.0 * n**-0.51), rel=1e-4)
    assert rate < 0.5 < 8 * 4.0 * 128**-0.51


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ["name=wsd", "warmup_fraction=0.5", "decay_fraction=0.6"],
            r"^schedule\.warmup_fraction=0\.5 \+ schedule\.decay_fraction=0\.6: longer than",
        ),
        (["name=infinite", "settling_fraction=0.9"], r"settling_fraction=0\.9 .* longer than the"),
        (
            ["name=multistep"],
            r"^schedule\.final_fraction=0: .* \(multistep\) never comes to 0; set",
        ),
        (["name=wsd", "decay_shape=exponential"], r"final_fraction=0: .* \(exponential\) never"),
        (["name=power", "power_exponent=0.5"], r"power_exponent=0\.5: must lie between -10 and"),
        (["name=power", "power_amplitude=0.0"], r"power_amplitude=0\.0: must be positive"),
        (["name=infinite", "plateau_fraction=0.0"], r"plateau_fraction=0\.0: must be positive and"),
        (["name=wsd", "decay_shape=sqare"], r"decay_shape=sqare: did you mean 'square'\?$"),
    ],
)
def test_schedule_that_cannot_be_is_one_line(assignments, message):
    with pytest.raises(UserError, match=message) as caught:
        tiny.config(*(f"schedule.{assignment}" for assignment in assignments))
    assert "\n" not in str(caught.value)


def test_picture_shows_every_schedule_and_every_shape(tmp_path, capsys):
    *panels, shapes = figure().axes
    assert [panel.get_title() for panel in panels] == list(SCHEDULES)
    curves = [panel.get_lines()[0].get_ydata() for panel in panels]
    assert all(max(curve) == 1 for curve in curves)
    assert [line.get_label() for line in shapes.get_lines()] == list(SHAPES_TO_CHOOSE)
    path = tmp_path / "all.svg"
    assert main(["schedules", "--out", str(path)]) == 0
    assert path.read_text().count("<svg") == 1
    assert main(["schedules", "--out", str(tmp_path / "all.txt")]) == 2
    assert "end it with one of .png, .svg, .pdf" in capsys.readouterr().err
