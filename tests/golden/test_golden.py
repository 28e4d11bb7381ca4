"""The science of a run and the rules of its parameters equal the golden files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import pytest

from experiments.config.data import DataConfig
from experiments.config.fields import to_dict
from experiments.config.identity import SCIENCE_VERSION, identity
from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, BudgetConfig, RunConfig, Science
from experiments.training.step import recipe
from models.config import TransformerConfig
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.tables import Name
from scaling.parametrization.weight import Weight

Golden = Callable[[str, Any], None]


def _science(name: Name) -> Science:
    """Fields that are left out are defaults, and a changed default is another science."""
    return Science(
        model=TransformerConfig(
            layers=2,
            width=48,
            heads=6,
            kv_heads=2,
            head_dim=8,
            ffn=128,
            positions="learned",
            norm="layernorm",
            biases="all",
            mlp="swiglu",
            qk_norm="rmsnorm",
            embeddings="untied",
        ),
        parametrization=Parametrization(name, base_width=16, base_head_dim=4),
        optimizer=OptimizerConfig(learning_rate=0.01),
        batch=BatchConfig(sequences=8, seq_len=64),
        budget=BudgetConfig(tokens=2_000_000),
        data=DataConfig(fingerprint="0123456789abcdef"),
        seed=7,
    )


def test_the_defaults_of_the_science(golden: Golden) -> None:
    """Run ids leave defaults out, so a changed default needs another SCIENCE_VERSION."""
    golden("defaults", {"version": SCIENCE_VERSION, "science": to_dict(Science())})


def test_the_canonical_science_and_its_identity(golden: Golden) -> None:
    science = _science("mup")
    golden("science", {"run_id": identity(science), "science": to_dict(science)})


@pytest.mark.parametrize("name", ["sp", "mup"])
def test_the_rule_of_every_parameter(name: Name, golden: Golden) -> None:
    made = recipe(RunConfig(_science(name)), platform="cpu")
    leaves = jax.tree.leaves(made.weights, is_leaf=lambda leaf: isinstance(leaf, Weight))
    rule = made.spec.parametrization.rule
    rows = [
        dataclasses.asdict(weight) | {"rule": dataclasses.asdict(rule(weight, made.spec.config))}
        for weight in leaves
    ]
    golden(f"rules_{name}", rows)
