"""The step: a pure function of state, hypers and batch, and the programs built on it.

Letters: S steps of a chunk, B sequences of a batch, M sequences of a microbatch, T tokens.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from experiments.config.optimizer import TuningConfig, optimizer
from experiments.config.run import RunConfig
from experiments.config.schedule import ScheduleName
from experiments.devices.resolve import check, resolve
from experiments.evaluation.score import log_probabilities
from experiments.training import update as updates
from experiments.training.hypers import Hypers
from experiments.training.objective import (
    NO_PENALTIES,
    Losses,
    Penalties,
    Teaching,
    loss,
    objective,
)
from experiments.training.schedule import fraction
from models.config import Phase
from models.layout import keep
from models.module import Spec
from models.transformer import weights
from models.weights import Params, initialise
from scaling.parametrization.weight import Weight

Metrics = dict[str, Array]


# Precision of products in a program. Left to itself JAX has float32 products in TF32 on a GPU, and
# in bfloat16 on a TPU; float32 means float32 on every device. Operands of bfloat16 need no more.
PRODUCTS = {"float32": "highest", "bfloat16": "default"}


class TrainState(struct.PyTreeNode):
    """Everything that a run carries from step to step."""

    step: Array  # int32: steps done
    first_loss: Array  # float32: of the first step, NaN before it
    diverged: Array  # bool: from here on the state does not change
    params: Params
    optimizer: Any


@dataclass(frozen=True)
class Recipe:
    """The static half of a run, which is compiled. Runs with equal recipes share a program."""

    spec: Spec
    seq_len: int
    sequences: int
    microbatch: int
    schedule: ScheduleName
    decay_shape: str
    optimizer: str
    decay: str
    zeros: str
    rounded: str
    tuning: TuningConfig
    evaluated: str
    teachers: tuple[Spec, ...] = ()

    @property
    def products(self) -> AbstractContextManager[Any]:
        """The context in which its products are traced."""
        return jax.default_matmul_precision(PRODUCTS[self.spec.compute])

    @cached_property
    def weights(self) -> Any:
        """The tree of `Weight`."""
        return weights(self.spec, self.seq_len)

    @property
    def table(self) -> list[Weight]:
        """Every `Weight`."""
        found: list[Weight] = jax.tree.leaves(self.weights, is_leaf=lambda x: isinstance(x, Weight))
        return found

    @cached_property
    def rules(self) -> Any:
        """The tree of `Rule`."""
        p, model, kind = self.spec.parametrization, self.spec.config, optimizer(self.optimizer)
        return updates.rules(self.weights, lambda w: p.rule(w, model, kind.family_of(w.role)))


# A run has diverged at this multiple of the loss of its first step; it does not recover.
DIVERGED_BEYOND = 10.0


def recipe(config: RunConfig, platform: str | None = None, devices: int | None = None) -> Recipe:
    """The compiled part of a config; all else is in its `Hypers` or its batches.

    Args:
        platform: "cpu", "gpu" or "tpu", by default the one that JAX runs on, with all its devices.
        devices: of such a platform; by default what the layout names.

    Raises:
        UserError: the platform that JAX runs on lacks a kernel that the program names.
    """
    if platform is None:
        platform, devices = jax.default_backend(), jax.device_count()
        check(config, platform)
    s, execution = config.science, resolve(config, platform, devices)
    return Recipe(
        spec=Spec(s.model, s.parametrization, execution.program, s.precision, execution.layout),
        seq_len=s.batch.seq_len,
        sequences=s.batch.sequences,
        microbatch=execution.microbatch,
        schedule=s.schedule.name,
        decay_shape=s.schedule.decay_shape,
        optimizer=s.optimizer.name,
        decay=s.optimizer.decay,
        zeros=s.optimizer.zeros,
        rounded=s.optimizer.rounded,
        tuning=replace(s.tuning, values=1),  # a traced number
        evaluated=s.evaluation.weights,
    )


def init_state(recipe: Recipe, hypers: Hypers) -> TrainState:
    """The state before the first step; pure, so it can be jitted with any shardings."""
    params = initialise(
        recipe.weights,
        recipe.spec.parametrization,
        recipe.spec.config,
        jax.random.key(hypers.seed),
        hypers.init_scale,
    )
    return fresh_state(recipe, hypers, params)


def fresh_state(recipe: Recipe, hypers: Hypers, params: Params) -> TrainState:
    """The state before the first step from these parameters."""
    optimizer = update(recipe, hypers, jnp.float32(0)).init(params)
    return TrainState(
        step=jnp.int32(0),
        first_loss=jnp.float32(jnp.nan),
        diverged=jnp.bool_(False),
        params=params,
        optimizer=optimizer,
    )


def update(recipe: Recipe, hypers: Hypers, fraction: Array) -> optax.GradientTransformation:
    """The update from gradients at this fraction of the peak learning rate."""
    parts = updates.UpdateInputs(
        hypers, recipe.weights, recipe.rules, recipe.decay, fraction, recipe.zeros,
        recipe.tuning,
    )  # fmt: skip
    return updates.update(recipe.optimizer, recipe.evaluated, parts)


def gradients(
    recipe: Recipe, params: Params, batch: Array, penalties: Penalties = NO_PENALTIES,
    teaching: Teaching | None = None,
) -> tuple[Losses, Params]:  # fmt: skip
    """Losses over [B, T+1] and the gradient of their `objective`.

    Taken microbatch by microbatch: every window predicts T tokens, so the mean of their means is
    the mean over all tokens. The result equals the whole batch's up to rounding. Small microbatches
    keep activations in cache on a CPU and bound memory anywhere.
    """
    parts = batch.reshape(-1, recipe.microbatch, batch.shape[-1])

    def one(windows: Array) -> tuple[Losses, Params]:
        with recipe.products:
            grads, found = jax.grad(partial(objective, recipe.spec), has_aux=True)(
                params, windows, penalties, recipe.teachers, teaching
            )
        return found, grads

    if len(parts) == 1:
        return one(parts[0])

    def add(total: Any, windows: Array) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, one(windows)), None

    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(one, parts[0]))
    total, _ = jax.lax.scan(add, zero, parts)
    return jax.tree.map(lambda x: x / len(parts), total)


def seen(recipe: Recipe, params: Params, share: Array | float = 1.0) -> Params:
    """The parameters as the model sees them, with a share of their rounding."""
    return updates.rounded(recipe.rounded, recipe.weights, params, share)


def evaluated(recipe: Recipe, state: TrainState) -> Params:
    """The parameters to evaluate: the last, or an average of them, rounded in full."""
    return seen(recipe, updates.evaluated(state.optimizer, state.params))


def has_diverged(loss: Array, first_loss: Array) -> Array:
    """The rule of divergence, alone and in a population: not finite, or far above the start."""
    return ~jnp.isfinite(loss) | (loss > DIVERGED_BEYOND * first_loss)


def step(
    recipe: Recipe, state: TrainState, hypers: Hypers, batch: Array
) -> tuple[TrainState, Metrics]:
    """One update on a batch [B, T+1] of int32 windows."""
    share = jnp.where(
        state.step < hypers.rounding_steps, state.step / jnp.maximum(hypers.rounding_steps, 1), 1.0
    )
    (value, found), grads = gradients(
        recipe, seen(recipe, state.params, share), batch, hypers.penalties, hypers.teaching
    )
    scale = fraction(recipe.schedule, recipe.decay_shape, state.step, hypers)
    with recipe.products:  # of Muon
        change = update(recipe, hypers, scale)
        updates, optimizer = change.update(grads, state.optimizer, state.params)
    first_loss = jnp.where(state.step == 0, value, state.first_loss)
    diverged = has_diverged(value, first_loss)
    metrics = {
        "loss": value,
        "diverged": diverged,
        "grad_norm": optax.tree.norm(grads),
        "learning_rate": scale * hypers.learning_rate,
        **found,
    }
    # sharded as the optimizer's state until they are added, so that they alone are gathered
    updates = keep(recipe.spec.layout, recipe.weights, "optimizer", updates)
    params = optax.apply_updates(state.params, updates)
    params = keep(recipe.spec.layout, recipe.weights, "params", params)
    return TrainState(state.step + 1, first_loss, diverged, params, optimizer), metrics


def train_chunk(
    recipe: Recipe, state: TrainState, hypers: Hypers, batches: Array
) -> tuple[TrainState, Metrics]:
    """Up to S steps of [S, B, T+1] in one dispatch: those that the run has left.

    The trip count is data: a run of any length uses one executable and pays for no empty step. A
    run takes no step after the one that shows divergence. Metrics are [S]; rows of steps not taken
    are zero.
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


def evaluate(
    recipe: Recipe, state: TrainState, windows: Array, phase: Phase = "evaluation"
) -> Array:
    """Mean loss in nats per token over [P, M, T+1] windows, M at a time.

    The parameters are `evaluated` ones.

    Args:
        phase: "training" routes as in training, where a router may see later tokens.
    """
    params = evaluated(recipe, state)
    spec = replace(recipe.spec, phase=phase)

    def add(total: Array, part: Array) -> tuple[Array, None]:
        with recipe.products:
            return total + loss(spec, params, part), None

    return jax.lax.scan(add, jnp.float32(0), windows)[0] / windows.shape[0]


def score(recipe: Recipe, state: TrainState, windows: Array, scored: Array) -> Array:
    """ln p of the scored tokens of each window, in nats: [P, M, T+1], [P, M, T] -> [P, M].

    Of the same parameters as `evaluate`, M windows at a time.
    """
    params = evaluated(recipe, state)

    def one(part: tuple[Array, Array]) -> Array:
        with recipe.products:
            return log_probabilities(recipe.spec, params, *part)

    return jax.lax.map(one, (windows, scored))
