"""Samples of a model: tokens drawn one after another from the state of those before.

Attention keeps keys and values, a recurrent mixer its state (`models.transformer.follow`); both
give the logits of the whole sequence. The token after t others is drawn by

    argmax ( logits / temperature + Gumbel noise of (seed, t) )

over the `top_k` likeliest tokens and the fewest of total probability `top_p`. The seed is that of
an item and a sample, so a sample does not depend on the others of its batch.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int
from numpy.typing import NDArray

from experiments.evaluation.model import Sampler
from models.module import Spec
from models.transformer import empty_state, follow
from models.weights import Params

STEP = 16  # prompts are padded to a multiple of it: few programs are compiled


def seed_of(item: str, sample: int, seed: int = 0) -> int:
    """The seed of one sample of an item."""
    return zlib.crc32(f"{seed}/{item}/{sample}".encode())


def choose(sampler: Sampler, logits: Float[Array, " v"], key: Array) -> Int[Array, ""]:
    """One token by the sampler, from logits in float32."""
    if sampler.temperature == 0:
        return jnp.argmax(logits)
    x = logits / sampler.temperature
    if sampler.top_k:
        least = jax.lax.top_k(x, min(sampler.top_k, len(x)))[0][-1]
        x = jnp.where(x < least, -jnp.inf, x)
    if sampler.top_p < 1:
        falling = jnp.sort(x)[::-1]
        before = jnp.cumsum(jax.nn.softmax(falling)) - jax.nn.softmax(falling)
        least = jnp.min(jnp.where(before < sampler.top_p, falling, jnp.inf))
        x = jnp.where(x < least, -jnp.inf, x)
    return jnp.argmax(x + jax.random.gumbel(key, x.shape))


def key_at(seed: Int[Array, ""], t: Int[Array, ""] | int) -> Array:
    """The key of the token after t others."""
    return jax.random.fold_in(jax.random.key(seed), t)


def draw(
    spec: Spec, sampler: Sampler, first: int, new: int, params: Params,
    prompts: Int[Array, "M P"], lengths: Int[Array, " M"], seeds: Int[Array, " M"],
) -> Int[Array, "M P+new"]:  # fmt: skip
    """Every prompt and `new` tokens or more after it, padded prompts of at least `first` tokens.

    The first tokens go through at once, the rest one by one: those of a prompt are given, and those
    after it drawn.
    """
    M, P = prompts.shape
    total = P + new
    given = jnp.pad(prompts, ((0, 0), (0, new)))
    logits, state = follow(spec, params, empty_state(spec, M, total), given[:, :first])

    def step(carry: tuple[Any, Array], t: Array) -> tuple[tuple[Any, Array], Array]:
        state, logits = carry
        keys = jax.vmap(key_at, (0, None))(seeds, t)
        drawn = jax.vmap(partial(choose, sampler))(logits, keys)
        token = jnp.where(t < lengths, given[:, t], drawn).astype(given.dtype)
        logits, state = follow(spec, params, state, token[:, None])
        return (state, logits[:, 0]), token

    start = state, logits[:, -1]
    _, tokens = jax.lax.scan(step, start, jnp.arange(first, total))
    return jnp.concatenate([given[:, :first], tokens.T], axis=1)


@cache
def _program(spec: Spec, sampler: Sampler, first: int, new: int) -> Any:
    return jax.jit(partial(draw, spec, sampler, first, new))


def sample(
    spec: Spec,
    params: Params,
    prompts: Sequence[NDArray[np.integer]],
    seeds: Sequence[int],
    new: int,
    sampler: Sampler,
) -> list[NDArray[np.int32]]:
    """The `new` tokens drawn after each prompt.

    Args:
        prompts: of at least one token each, such as the separator.
    """
    lengths = np.array([len(prompt) for prompt in prompts])
    longest = -(-lengths.max() // STEP) * STEP
    padded = np.zeros((len(prompts), longest), np.int32)
    for k, prompt in enumerate(prompts):
        padded[k, : len(prompt)] = prompt
    first = max(1, int(lengths.min()) // STEP * STEP)
    made = _program(spec, sampler, first, new)
    found = np.asarray(made(params, padded, lengths, np.array(seeds, np.uint32)))
    return [row[n : n + new] for row, n in zip(found, lengths, strict=True)]
