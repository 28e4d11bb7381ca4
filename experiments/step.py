"""The step: a pure function of state, hypers and batch, and the few programs built on it.

Letters: S steps of a chunk, B sequences of a batch, M sequences of a microbatch, T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from experiments.config import RunConfig
from experiments.hypers import Hypers
from experiments.optimizer import adamw, rules
from experiments.platforms import resolve
from experiments.schedule import fraction
from models.transformer import Spec, apply, weights
from models.weights import Params, initialise
from scaling.parametrization import Family

Metrics = dict[str, Array]


class TrainState(struct.PyTreeNode):
    """Everything that a run carries from step to step."""

    step: Array  # int32: steps done
    first_loss: Array  # float32: of the first step, NaN before it
    diverged: Array  # bool: from here on the state stands still
    params: Params
    optimizer: Any


@dataclass(frozen=True)
class Recipe:
    """The static half of a run: what is compiled. Two runs with equal recipes share a program."""

    spec: Spec
    seq_len: int
    sequences: int
    microbatch: int
    schedule: str
    decay: str
    family: Family

    @cached_property
    def weights(self) -> Any:
        """The tree of `Weight`."""
        return weights(self.spec, self.seq_len)

    @cached_property
    def rules(self) -> Any:
        """The tree of `Rule`."""
        p, model = self.spec.parametrization, self.spec.config
        return rules(self.weights, lambda weight: p.rule(weight, model, self.family))


# A run whose loss is this many times that of its first step has diverged: it will not come back.
DIVERGED_BEYOND = 10.0


def recipe(config: RunConfig, platform: str | None = None) -> Recipe:
    """What of a config is compiled; everything else is in its `Hypers` or its batches.

    `platform` is "cpu", "gpu" or "tpu", by default the one that JAX runs on.
    """
    s, execution = config.science, resolve(config, platform or jax.default_backend())
    return Recipe(
        spec=Spec(s.model, s.parametrization, execution.program, s.precision),
        seq_len=s.batch.seq_len,
        sequences=s.batch.sequences,
        microbatch=execution.microbatch,
        schedule=s.schedule.name,
        decay=s.optimizer.decay,
        family=s.optimizer.family,
    )


def init_state(recipe: Recipe, hypers: Hypers) -> TrainState:
    """The state before the first step; pure, so that it can be jitted with the shardings wanted."""
    params = initialise(
        recipe.weights,
        recipe.spec.parametrization,
        recipe.spec.config,
        jax.random.key(hypers.seed),
        hypers.init_scale,
    )
    optimizer = adamw(hypers, recipe.rules, recipe.decay, jnp.float32(0)).init(params)
    return TrainState(
        step=jnp.int32(0),
        first_loss=jnp.float32(jnp.nan),
        diverged=jnp.bool_(False),
        params=params,
        optimizer=optimizer,
    )


def loss(spec: Spec, params: Params, windows: Array) -> Array:
    """Mean cross-entropy in nats per token of [M, T+1] windows: each token from those before it."""
    logits = apply(spec, params, windows[:, :-1])
    return optax.softmax_cross_entropy_with_integer_labels(logits, windows[:, 1:]).mean()


def gradients(recipe: Recipe, params: Params, batch: Array) -> tuple[Array, Params]:
    """Loss and gradient of the mean over [B, T+1], microbatch by microbatch.

    Equal to the whole batch at once up to rounding; small microbatches keep activations in cache
    on a CPU and bound memory anywhere.
    """
    parts = batch.reshape(-1, recipe.microbatch, batch.shape[-1])
    value_and_grad = jax.value_and_grad(lambda p, windows: loss(recipe.spec, p, windows))
    if len(parts) == 1:
        return value_and_grad(params, parts[0])

    def add(total: tuple[Array, Params], windows: Array) -> tuple[tuple[Array, Params], None]:
        return jax.tree.map(jnp.add, total, value_and_grad(params, windows)), None

    zero = (jnp.float32(0), jax.tree.map(jnp.zeros_like, params))
    total, _ = jax.lax.scan(add, zero, parts)
    return jax.tree.map(lambda x: x / len(parts), total)


def has_diverged(loss: Array, first_loss: Array) -> Array:
    """Whether a run at this loss is lost: the only rule of divergence, solo and packed."""
    return ~jnp.isfinite(loss) | (loss > DIVERGED_BEYOND * first_loss)


def step(
    recipe: Recipe, state: TrainState, hypers: Hypers, batch: Array
) -> tuple[TrainState, Metrics]:
    """One update on a batch [B, T+1] of int32 windows."""
    value, grads = gradients(recipe, state.params, batch)
    scale = fraction(recipe.schedule, state.step, hypers)
    update = adamw(hypers, recipe.rules, recipe.decay, scale)
    updates, optimizer = update.update(grads, state.optimizer, state.params)
    first_loss = jnp.where(state.step == 0, value, state.first_loss)
    diverged = has_diverged(value, first_loss)
    metrics = {
        "loss": value,
        "diverged": diverged,
        "grad_norm": optax.tree.norm(grads),
        "learning_rate": scale * hypers.learning_rate,
    }
    params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, first_loss, diverged, params, optimizer), metrics


def train_chunk(
    recipe: Recipe, state: TrainState, hypers: Hypers, batches: Array
) -> tuple[TrainState, Metrics]:
    """Up to S steps in one dispatch: as many of [S, B, T+1] as the run has left.

    The trip count is data, so a run of any length uses one executable and pays for no empty step;
    a run that diverges takes no step after the one that shows it. Metrics are [S]; rows of steps
    that were not taken are zero.
    """
    S = batches.shape[0]
    shapes = jax.eval_shape(lambda: step(recipe, state, hypers, batches[0])[1])
    empty = jax.tree.map(lambda s: jnp.zeros((S, *s.shape), s.dtype), shapes)
    left = jnp.clip(hypers.total_steps - state.step, 0, S)

    def goes_on(carry: tuple[Array, TrainState, Metrics]) -> Array:
        i, state, _ = carry
        return (i < left) & ~state.diverged

    def body(carry: tuple[Array, TrainState, Metrics]) -> tuple[Array, TrainState, Metrics]:
        i, state, rows = carry
        state, metrics = step(recipe, state, hypers, batches[i])
        return i + 1, state, jax.tree.map(lambda row, value: row.at[i].set(value), rows, metrics)

    _, state, rows = jax.lax.while_loop(goes_on, body, (jnp.int32(0), state, empty))
    return state, rows


def evaluate(recipe: Recipe, params: Params, windows: Array) -> Array:
    """Mean loss in nats per token over [P, M, T+1] windows, M at a time."""

    def add(total: Array, part: Array) -> tuple[Array, None]:
        return total + loss(recipe.spec, params, part), None

    return jax.lax.scan(add, jnp.float32(0), windows)[0] / windows.shape[0]
