"""Every traced number changes a run without another program, and a population over it is its solo
runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
import tiny

from experiments.config.run import RunConfig
from experiments.config.traced import TRACED
from experiments.training.hypers import hypers
from experiments.training.populations.programs import join
from experiments.training.step import evaluate, init_state, recipe, train_chunk

STEPS = 8
BASE = (
    f"budget.tokens={STEPS * 64}",
    "model.experts=4",
    "optimizer.name=muon",
    "evaluation.weights=ema",
    "schedule.warmup_fraction=0.25",
    "schedule.decay_fraction=0.5",
)
# runs by what reads a number: the schedule or the router
READERS: Mapping[str, tuple[str, ...]] = {
    "infinite": ("schedule.name=infinite",),
    "power": ("schedule.name=power", "schedule.power_amplitude=3e-3"),
    "sigmoid": ("model.router=sigmoid",),
    "loss_free": ("model.router=loss_free",),
    "rl_r": ("model.router=rl_r",),
    "recursed": (
        "model.experts=0",
        "model.layers=2",
        "model.sharing=cycle",
        "model.recursion=expert_choice",
        "optimizer.name=sgd",  # Adam would train the second router alike at any weight of its loss
        "optimizer.learning_rate=0.1",
    ),
    "rounded": ("optimizer.rounded=int4", "optimizer.rounding_fraction=0.5"),
    "tuned": ("optimizer.name=adamw", "tuning.method=support", "tuning.values=100"),
}

SLOW = ("sigmoid", "loss_free", "rl_r", "recursed", "rounded", "tuned", "power")

# another value of each number, on the run that reads it
CHANGES: Mapping[str, tuple[str, str]] = {
    "learning_rate": ("infinite", "optimizer.learning_rate=0.01"),
    "beta1": ("infinite", "optimizer.beta1=0.5"),
    "beta2": ("infinite", "optimizer.beta2=0.5"),
    "momentum": ("infinite", "optimizer.momentum=0.0"),
    "epsilon": ("infinite", "optimizer.epsilon=1e-2"),
    "adamw_rate": ("infinite", "optimizer.adamw_rate=0.1"),
    "weight_decay": ("infinite", "optimizer.weight_decay=1.0"),
    "clip_norm": ("infinite", "optimizer.clip_norm=1e-6"),
    "warmup_steps": ("infinite", "schedule.warmup_fraction=0.125"),
    "decay_steps": ("infinite", "schedule.decay_fraction=0.25"),
    "total_steps": ("infinite", "budget.tokens=384"),
    "final_fraction": ("infinite", "schedule.final_fraction=1.0"),
    "knee_steps": ("power", "schedule.power_amplitude=1e-3"),
    "power_exponent": ("power", "schedule.power_exponent=-0.9"),
    "settling_steps": ("infinite", "schedule.settling_fraction=0.0"),
    "plateau_fraction": ("infinite", "schedule.plateau_fraction=0.1"),
    "ema_decay": ("infinite", "evaluation.ema_decay=0.5"),
    "init_scale": ("infinite", "init_scale=2.0"),
    "seed": ("infinite", "seed=5"),
    "penalties.z_loss": ("infinite", "penalties.z_loss=0.1"),
    "penalties.balance_loss": ("infinite", "penalties.balance_loss=1.0"),
    "penalties.router_z_loss": ("infinite", "penalties.router_z_loss=1.0"),
    "penalties.entropy_loss": ("sigmoid", "penalties.entropy_loss=1.0"),
    "penalties.bias_loss": ("loss_free", "penalties.bias_loss=1.0"),
    "penalties.policy_loss": ("rl_r", "penalties.policy_loss=1.0"),
    "penalties.baseline_loss": ("rl_r", "penalties.baseline_loss=1.0"),
    "penalties.auxiliary_loss": ("recursed", "penalties.auxiliary_loss=100.0"),
    "rounding_steps": ("rounded", "optimizer.rounding_fraction=0.0"),
    "tuned_values": ("tuned", "tuning.values=2000"),
}
# Muon's Newton-Schulz steps amplify rounding; curves of AdamW agree to 1e-5
TOLERANCE = 1e-4


def config(reader: str, *more: str) -> RunConfig:
    return tiny.config(*BASE, *READERS[reader], *more)


def members(reader: str) -> dict[str, RunConfig]:
    """The unchanged run, and one for each number."""
    changed = {name: text for name, (on, text) in CHANGES.items() if on == reader}
    return {"": config(reader)} | {name: config(reader, text) for name, text in changed.items()}


@cache
def train(reader: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Losses [S] and the loss of the evaluated weights, by number: as a population, and alone."""
    runs = members(reader)
    (made,) = {recipe(run) for run in runs.values()}  # one program
    data = jax.random.randint(jax.random.key(0), (STEPS, 4, 17), 0, 256)

    def whole(leaves: Any) -> tuple[Any, Any]:
        state, rows = train_chunk(made, init_state(made, leaves), leaves, data)
        return rows["loss"], evaluate(made, state, data)

    leaves = [hypers(run.science) for run in runs.values()]
    together = jax.device_get(jax.jit(jax.vmap(whole))(join(leaves)))
    solo = jax.jit(whole)
    alone = [jax.device_get(solo(each)) for each in leaves]
    return (
        {name: [x[k] for x in together] for k, name in enumerate(runs)},
        dict(zip(runs, alone, strict=True)),
    )


def test_every_traced_number_is_tried() -> None:
    assert CHANGES.keys() == TRACED.keys()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (on in SLOW))
             for name, (on, _) in CHANGES.items()],
)  # fmt: skip
def test_number_changes_the_result_and_the_population_is_its_solo_runs(name: str) -> None:
    together, alone = train(CHANGES[name][0])
    for ours, theirs in zip(together[name], alone[name], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE)
    change = max(np.abs(a - b).max() for a, b in zip(alone[name], alone[""], strict=True))
    assert change > 5 * TOLERANCE
