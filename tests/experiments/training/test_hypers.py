from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from experiments.config.traced import TRACED
from experiments.training.hypers import Hypers, hypers


def flat(leaves: Hypers) -> dict[str, jax.Array]:
    """The leaves by the names of the table."""
    found = jax.tree_util.tree_leaves_with_path(leaves)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in found}


def test_every_leaf_is_a_scalar_array():
    found = flat(hypers(tiny.config().science))
    assert found.keys() == TRACED.keys()
    for name, leaf in found.items():
        assert isinstance(leaf, jax.Array), name
        assert (leaf.shape, str(leaf.dtype)) == ((), TRACED[name].dtype), name
    leaves = hypers(tiny.config("seed=2147483647").science)
    assert (leaves.seed.dtype, int(leaves.seed)) == (jnp.uint32, 2147483647)
    assert (leaves.total_steps.dtype, int(leaves.total_steps)) == (jnp.int32, tiny.STEPS)


def test_a_clip_of_zero_is_none():
    assert hypers(tiny.config("optimizer.clip_norm=0").science).clip_norm == jnp.inf


def test_each_number_of_the_config_reaches_its_leaf():
    base = flat(hypers(tiny.config("schedule.name=wsd").science))
    moved = {
        "optimizer.learning_rate=0.5": {"learning_rate", "knee_steps"},
        "optimizer.beta1=0.5": {"beta1"},
        "optimizer.beta2=0.5": {"beta2"},
        "optimizer.momentum=0.5": {"momentum"},
        "optimizer.epsilon=0.5": {"epsilon"},
        "optimizer.adamw_rate=0.5": {"adamw_rate"},
        "optimizer.weight_decay=0.5": {"weight_decay"},
        "optimizer.clip_norm=0.5": {"clip_norm"},
        "optimizer.rounding_fraction=0.5": {"rounding_steps"},
        "tuning.values=5": {"tuned_values"},
        "schedule.warmup_fraction=0.5": {"warmup_steps"},
        "schedule.decay_fraction=0.5": {"decay_steps"},
        "schedule.final_fraction=0.5": {"final_fraction"},
        "schedule.power_amplitude=0.5": {"knee_steps"},
        "schedule.power_exponent=-0.3": {"power_exponent", "knee_steps"},
        "schedule.settling_fraction=0.5": {"settling_steps"},
        "schedule.plateau_fraction=0.3": {"plateau_fraction"},
        "evaluation.ema_decay=0.3": {"ema_decay"},
        "penalties.z_loss=0.5": {"penalties.z_loss"},
        "penalties.balance_loss=0.5": {"penalties.balance_loss"},
        "penalties.router_z_loss=0.5": {"penalties.router_z_loss"},
        "penalties.entropy_loss=0.5": {"penalties.entropy_loss"},
        "penalties.bias_loss=0.5": {"penalties.bias_loss"},
        "penalties.policy_loss=0.5": {"penalties.policy_loss"},
        "penalties.baseline_loss=0.5": {"penalties.baseline_loss"},
        "penalties.auxiliary_loss=0.5": {"penalties.auxiliary_loss"},
        "init_scale=0.5": {"init_scale"},
        "seed=5": {"seed"},
        "budget.tokens=12800": {
            "total_steps",
            "warmup_steps",
            "decay_steps",
            "settling_steps",
        },
    }
    for assignment, expected in moved.items():
        changed = flat(hypers(tiny.config("schedule.name=wsd", assignment).science))
        differ = {name for name in TRACED if changed[name] != base[name]}
        assert differ == expected, assignment
    assert set.union(*moved.values()) == set(TRACED)


def test_decay_fills_what_warmup_leaves_except_in_wsd():
    quarter = "schedule.warmup_fraction=0.24"
    linear = hypers(tiny.config(quarter).science)
    assert np.array([linear.warmup_steps, linear.decay_steps]).tolist() == [12, 38]
    wsd = hypers(tiny.config(quarter, "schedule.name=wsd").science)
    assert np.array([wsd.warmup_steps, wsd.decay_steps]).tolist() == [12, 10]
