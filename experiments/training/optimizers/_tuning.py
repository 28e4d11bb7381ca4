"""Training of few numbers of a model whose others stay: deltas of low rank, or on a random support.

    low_rank   theta = theta_0 + A B of each matrix; A drawn, N(0, 1 / fan_in), and B 0 at first
               (Hu et al. 2021, arXiv:2106.09685)
    support    theta = theta_0 + delta, of so many values drawn by the seed, over all matrices alike
               (Su et al. 2023, arXiv:2306.02320, of the count of trained values)

Both move the parameters themselves: each state of a run is merged already. The optimizer's own
state is of the factors, or 0 off the support.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments.config.optimizer import TuningConfig
from scaling.common.alphabet import parse
from scaling.parametrization.weight import Weight

Inputs = Any  # an `UpdateInputs`, whose file imports this one
Chain = Callable[[Inputs], optax.GradientTransformation]


def tuned(tuning: TuningConfig, chain: Chain, s: Inputs) -> optax.GradientTransformation:
    """The update by a chain of optimizers, of the trained numbers alone."""
    made = {"all": lambda t, c, s: c(s), "low_rank": _low_rank, "support": _support}
    found: optax.GradientTransformation = made[tuning.method](tuning, chain, s)
    return found


class Support(NamedTuple):
    mask: Any  # bool, of all parameters
    inner: Any


def _support(tuning: TuningConfig, chain: Chain, s: Inputs) -> optax.GradientTransformation:
    inner = chain(s)

    def init(params: Any) -> Support:
        def score(weight: Weight) -> Array:
            shape = ((weight.stacked,) if weight.stacked else ()) + weight.shape
            if not tuning.tunes(weight):
                return jnp.full(shape, jnp.inf)
            return jax.random.uniform(_key(s, weight), shape)

        scores = jax.tree.map(score, s.weights, is_leaf=lambda x: isinstance(x, Weight))
        flat = jnp.sort(jnp.concatenate([each.ravel() for each in jax.tree.leaves(scores)]))
        least = flat[jnp.minimum(s.hypers.tuned_values, flat.size) - 1]
        mask = jax.tree.map(lambda each: (each <= least) & jnp.isfinite(each), scores)
        return Support(mask, inner.init(params))

    def update(grads: Any, state: Support, params: Any = None) -> tuple[Any, Support]:
        def on(tree: Any) -> Any:
            return jax.tree.map(lambda x, kept: jnp.where(kept, x, 0), tree, state.mask)

        updates, within = inner.update(on(grads), state.inner, params)
        return on(updates), Support(state.mask, within)

    return optax.GradientTransformation(init, update)


class LowRank(NamedTuple):
    factors: Any  # of each tuned matrix, by its path and layer: A [..., fan_in, r], B [..., r, out]
    inner: Any


def _low_rank(tuning: TuningConfig, chain: Chain, s: Inputs) -> optax.GradientTransformation:
    leaves = jax.tree.leaves(s.weights, is_leaf=lambda x: isinstance(x, Weight))
    own = [i for i, weight in enumerate(leaves) if tuning.tunes(weight)]
    rules = jax.tree.leaves(s.rules, is_leaf=lambda x: hasattr(x, "init_std"))
    pairs = {str(i): {"A": leaves[i], "B": leaves[i]} for i in own}
    both = {str(i): {"A": rules[i], "B": rules[i]} for i in own}
    inner = chain(replace(s, weights=pairs, rules=both))

    def init(params: Any) -> LowRank:
        factors = {}
        for i in own:
            lead, rows, columns = _matrix(leaves[i])
            A = jax.random.normal(_key(s, leaves[i]), (*lead, rows, tuning.rank)) / rows**0.5
            factors[str(i)] = {"A": A, "B": jnp.zeros((*lead, tuning.rank, columns))}
        return LowRank(factors, inner.init(factors))

    def update(grads: Any, state: LowRank, params: Any = None) -> tuple[Any, LowRank]:
        found, tree = jax.tree.flatten(grads)
        slopes = {}
        for i in own:
            lead, rows, columns = _matrix(leaves[i])
            G, pair = found[i].reshape(*lead, rows, columns), state.factors[str(i)]
            slopes[str(i)] = {"A": G @ pair["B"].mT, "B": pair["A"].mT @ G}
        changes, within = inner.update(slopes, state.inner, state.factors)
        after = optax.apply_updates(state.factors, changes)
        updates = [jnp.zeros_like(each) for each in found]
        for i in own:
            new, old = (each[str(i)]["A"] @ each[str(i)]["B"] for each in (after, state.factors))
            updates[i] = (new - old).reshape(found[i].shape)
        return jax.tree.unflatten(tree, updates), LowRank(after, within)

    return optax.GradientTransformation(init, update)


def _matrix(weight: Weight) -> tuple[tuple[int, ...], int, int]:
    """The leading axes of layers and copies, and the fan-in and fan-out of each matrix."""
    copies = weight.shape[: len(parse(weight.letters).copies)]
    return ((weight.stacked,) if weight.stacked else ()) + copies, weight.fan_in, weight.fan_out


def _key(s: Inputs, weight: Weight) -> Array:
    key = jax.random.fold_in(jax.random.key(s.hypers.seed), zlib.crc32(weight.path.encode()))
    return jax.random.fold_in(key, (weight.layer or 0) + 1)
