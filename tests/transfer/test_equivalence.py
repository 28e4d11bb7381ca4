"""One run stored in three ways: muP with multipliers, muP in variances, mean-field; and NTK is SP.

The factor between multiplier and weight moves without changing a run, for Adam, Muon and the raw
gradient, epsilon and weight decay included. All but rounding; no clipping but of raw gradients, for
the norm of the others is of what is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
from faulty import numbers, traced

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from experiments.training.hypers import hypers
from experiments.training.step import init_state, recipe, step
from models.config import TransformerConfig
from scaling.parametrization.parametrization import Parametrization, RolePowers
from scaling.parametrization.tables import Name

MODEL = TransformerConfig(
    layers=1, width=16, heads=2, kv_heads=2, head_dim=8, ffn=64, vocab_size=16, embeddings="untied"
)
BATCHES = jax.random.randint(jax.random.key(3), (6, 2, 9), 0, 16)
NAMES: tuple[Name, ...] = ("mup", "mup_variance", "mean_field", "sp", "ntk")
TABLES: Mapping[str, Parametrization] = {
    **{name: Parametrization(name, 4, 4) for name in NAMES},
    # by role: the exponents of Everett et al. 2024
    "sp with NTK's rates": Parametrization(
        "sp", 4, 4, learning_rate_powers=RolePowers(hidden=-1.0, readout=-1.0)
    ),
}

# An epsilon as large as the gradients and a strong decay, so that both count
OPTIMIZERS: Mapping[str, OptimizerConfig] = {
    "normalised": OptimizerConfig("adamw", 0.05, epsilon=1e-2, weight_decay=0.5, clip_norm=1e9),
    "gradient": OptimizerConfig("sgd", 0.5, momentum=0.0, weight_decay=0.05, clip_norm=0.1),
    "orthogonal": OptimizerConfig("muon", 0.1, epsilon=1e-2, weight_decay=0.5, clip_norm=1e9),
}


@cache
def losses(family: str) -> Mapping[str, Any]:
    """Six losses of each table, by one program for all."""
    science = Science(
        model=MODEL,
        optimizer=OPTIMIZERS[family],
        schedule=ScheduleConfig("constant", warmup_fraction=0.0),
        batch=BatchConfig(sequences=2, seq_len=8),
    )
    made, leaves = recipe(RunConfig(science), "gpu"), hypers(science)

    @jax.jit
    @jax.vmap
    def run(said: Any) -> Any:
        own = traced(made, said)

        def advance(state: Any, batch: Any) -> Any:
            state, metrics = step(own, state, leaves, batch)
            return state, metrics["loss"]

        return jax.lax.scan(advance, init_state(own, leaves), BATCHES)[1]

    said = [numbers(table, made) for table in TABLES.values()]
    stacked = jax.tree.map(lambda *leaves: np.float32(leaves), *said)
    return dict(zip(TABLES, np.asarray(run(stacked)), strict=True))


@pytest.mark.parametrize("family", OPTIMIZERS)
def test_mup_however_it_is_stored_is_one_run(family: str) -> None:
    found = losses(family)
    np.testing.assert_allclose(found["mup_variance"], found["mup"], rtol=2e-5)
    np.testing.assert_allclose(found["mean_field"], found["mup"], rtol=2e-5)


@pytest.mark.parametrize("family", OPTIMIZERS)
def test_sp_is_another(family: str) -> None:
    found = losses(family)
    assert np.abs(found["sp"] - found["mup"])[1:].min() > 1e-3


def test_ntk_is_sp_with_the_rates_of_full_alignment() -> None:
    """But for epsilon, which SP has no rule for: its gradients are smaller, so it moves less."""
    ntk, sp = (losses("normalised")[name] for name in ("ntk", "sp with NTK's rates"))
    np.testing.assert_allclose(ntk[0], sp[0], rtol=1e-6)
    np.testing.assert_allclose(ntk, sp, rtol=0.1)
