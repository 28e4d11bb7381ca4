"""Loss curves of one small run, for tests that hold several programs to the same numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import numpy as np

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, BudgetConfig, Execution, RunConfig, Science
from experiments.training.hypers import Hypers, hypers
from experiments.training.step import Recipe, TrainState, init_state, recipe, train_chunk
from models.config import TransformerConfig
from scaling.machines.program import PLAIN
from scaling.parametrization.parametrization import Parametrization

STEPS = 24
CHUNK = 8
SCIENCE = Science(
    model=TransformerConfig(
        layers=2, width=16, heads=2, kv_heads=1, head_dim=8, ffn=32, vocab_size=32
    ),
    parametrization=Parametrization("mup", base_width=8, base_head_dim=8),
    optimizer=OptimizerConfig(learning_rate=4e-3),
    batch=BatchConfig(sequences=4, seq_len=16),
    budget=BudgetConfig(tokens=STEPS * 64),
    seed=3,
)


def program(microbatch: int = 4, science: Science = SCIENCE, **program: Any) -> Recipe:
    """The plain program but for the arguments."""
    return recipe(RunConfig(science, Execution(replace(PLAIN, **program), microbatch=microbatch)))


def run(learning_rate: float = 4e-3, steps: int = STEPS, seed: int = 3) -> Hypers:
    """The hypers of a run like `SCIENCE` in all but these."""
    optimizer = replace(SCIENCE.optimizer, learning_rate=learning_rate)
    budget = BudgetConfig(tokens=steps * 64)
    return hypers(replace(SCIENCE, optimizer=optimizer, budget=budget, seed=seed))


@cache
def batches(seed: int = 3) -> np.ndarray:
    """[STEPS, B, T+1]: random walks on a circle of tokens, which a model can learn."""
    walks = np.random.default_rng(seed).integers(-1, 3, (STEPS, 4, 17))
    return (walks.cumsum(axis=-1) % 32).astype(np.int32)


@cache
def init(recipe: Recipe) -> Any:
    return jax.jit(partial(init_state, recipe))


@cache
def chunk(recipe: Recipe) -> Any:
    return jax.jit(partial(train_chunk, recipe))


def train(
    recipe: Recipe, leaves: Hypers, data: np.ndarray, per_dispatch: int = CHUNK
) -> tuple[TrainState, np.ndarray]:
    """The last state and the loss at every step; steps not taken are zero."""
    state, losses = init(recipe)(leaves), []
    for start in range(0, len(data), per_dispatch):
        state, metrics = chunk(recipe)(state, leaves, data[start : start + per_dispatch])
        losses.append(metrics["loss"])
    return state, np.concatenate(jax.device_get(losses))


@cache
def reference() -> tuple[TrainState, np.ndarray]:
    """The plainest program: unrolled, nothing recomputed, the whole batch at once."""
    state, losses = train(program(), run(), batches())
    assert losses[-1] < losses[0] - 0.1, "the run learns, so that equal curves mean something"
    return state, losses


def stacked(params: Any) -> Any:
    """The parameters of unrolled layers in the form of scanned ones."""
    names = sorted(name for name in params if name.startswith("blocks_"))
    rest = {name: value for name, value in params.items() if name not in names}
    return rest | {"blocks": jax.tree.map(lambda *x: np.stack(x), *(params[n] for n in names))}
