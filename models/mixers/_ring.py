"""Causal attention of sequences that lie over devices: keys and values go round in a ring.

Device j of m has queries, keys and values of n = T / m positions. In m steps it meets the keys of
every device, and keeps the softmax's maximum and sum so far (Liu et al. 2023, arXiv:2310.01889).

Position t is on device t mod m meanwhile (Brandon et al. 2023, arXiv:2311.09431). So each device
sees a triangle of each other's keys, and all work alike; tiles above the diagonal are left out. An
exchange among all lays positions out so, and another one back.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

NEVER = -1e30
AXIS = "sequence"
TILES = 4  # along each side of a block; (TILES + 1) / (2 TILES) of its square is computed

Sums = tuple[Array, Array, Array]  # weighted values, maximum and sum of each query


def ring(
    q: Float[Array, "B n h k"],
    k: Float[Array, "B n g k"],
    v: Float[Array, "B n g k"],
    scale: float | Array,
) -> Float[Array, "B n h k"]:
    """As `models.mixers._attention.attend`, on each device of the axis; m squared divides T."""
    q = q * jnp.asarray(scale, q.dtype)
    q, k, v = map(_striped, (q, k, v))
    B, n, _, K = q.shape
    groups = q.reshape(B, n, k.shape[2], -1, K).transpose(0, 2, 3, 1, 4)  # [B, g, i, n, k]
    y = _average(groups, k.swapaxes(1, 2), v.swapaxes(1, 2))
    return _contiguous(y.transpose(0, 3, 1, 2, 4).reshape(q.shape))


def _striped(x: Array) -> Array:
    """Positions t = j n + s of device j become those of t mod m = j, in their order."""
    m = jax.lax.axis_size(AXIS)
    x = x.reshape(len(x), -1, m, *x.shape[2:])
    return jax.lax.all_to_all(x, AXIS, split_axis=2, concat_axis=1, tiled=True).squeeze(2)


def _contiguous(x: Array) -> Array:
    found = jax.lax.all_to_all(x[:, :, None], AXIS, split_axis=1, concat_axis=2, tiled=True)
    return found.reshape(x.shape)


def _on(x: Array) -> Array:
    """The array of the device before this one."""
    m = jax.lax.axis_size(AXIS)
    return jax.lax.ppermute(x, AXIS, [(i, (i + 1) % m) for i in range(m)])


def _tiles(n: int) -> list[tuple[slice, slice]]:
    """The queries of each row of tiles, and the keys up to the diagonal."""
    w = n // math.gcd(n, TILES)
    return [(slice(first, first + w), slice(first + w)) for first in range(0, n, w)]


def _scores(q: Array, k: Array, rows: slice, keys: slice, other: Array) -> Array:
    """q k^T of one row of tiles in float32; the keys are of device `other`."""
    scores = jnp.einsum(
        "bgink,bgsk->bgins", q[..., rows, :], k[:, :, keys], preferred_element_type=jnp.float32
    )
    t, s = jnp.arange(rows.start, rows.stop)[:, None], jnp.arange(keys.stop)
    seen = (s < t) | ((s == t) & (other <= jax.lax.axis_index(AXIS)))
    return jnp.where(seen, scores, NEVER)


def _absorb(q: Array, sums: Sums, k: Array, v: Array, other: Array) -> Sums:
    """The sums after the keys of one more device; of the first one a query sees itself."""
    found: list[Sums] = []
    for rows, keys in _tiles(q.shape[-2]):
        before, top, total = sums[0][..., rows, :], sums[1][..., rows], sums[2][..., rows]
        scores = _scores(q, k, rows, keys, other)
        highest = jnp.maximum(top, scores.max(-1))
        p, fade = jnp.exp(scores - highest[..., None]), jnp.exp(top - highest)
        values = jnp.einsum(
            "bgins,bgsk->bgink",
            p.astype(v.dtype),
            v[:, :, keys],
            preferred_element_type=jnp.float32,
        )
        found.append((before * fade[..., None] + values, highest, total * fade + p.sum(-1)))
    averages, tops, totals = zip(*found, strict=True)
    return jnp.concatenate(averages, -2), jnp.concatenate(tops, -1), jnp.concatenate(totals, -1)


def _before(step: int | Array) -> Array:
    """The device whose keys are here after so many steps."""
    return (jax.lax.axis_index(AXIS) - step) % jax.lax.axis_size(AXIS)


@jax.custom_vjp
def _average(
    q: Float[Array, "B g i n k"], k: Float[Array, "B g n k"], v: Float[Array, "B g n k"]
) -> Float[Array, "B g i n k"]:
    return _forward(q, k, v)[0]


def _forward(q: Array, k: Array, v: Array) -> tuple[Array, tuple[Array, ...]]:
    def step(
        carry: tuple[Sums, Array, Array], number: Array
    ) -> tuple[tuple[Sums, Array, Array], None]:
        sums, k, v = carry
        after = _on(k), _on(v)  # while this step's products are taken
        return (_absorb(q, sums, k, v, _before(number)), *after), None

    m = jax.lax.axis_size(AXIS)
    start = jnp.zeros(q.shape, jnp.float32), jnp.full(q.shape[:-1], NEVER), jnp.zeros(q.shape[:-1])
    (sums, *last), _ = jax.lax.scan(step, (start, k, v), jnp.arange(m - 1))
    y, top, total = _absorb(q, sums, last[0], last[1], _before(m - 1))
    y = (y / total[..., None]).astype(q.dtype)
    return y, (q, k, v, y, top + jnp.log(total))


def _backward(saved: tuple[Array, ...], dy: Array) -> tuple[Array, Array, Array]:
    q, k, v, y, normaliser = saved
    mean = (dy.astype(jnp.float32) * y).sum(-1)
    product = partial(jnp.einsum, preferred_element_type=jnp.float32)

    def shares(k: Array, v: Array, other: Array) -> tuple[Array, Array, Array]:
        """The gradients of q, k and v by the products of q with the keys of one device."""
        dq: list[Array] = []
        dk, dv = jnp.float32(0), jnp.float32(0)
        for rows, keys in _tiles(q.shape[-2]):
            scores = _scores(q, k, rows, keys, other)
            p = jnp.exp(scores - normaliser[..., rows, None])
            own = dy[..., rows, :]
            dp = product("bgink,bgsk->bgins", own, v[:, :, keys])
            ds = (p * (dp - mean[..., rows, None])).astype(q.dtype)
            dq.append(product("bgins,bgsk->bgink", ds, k[:, :, keys]))
            later = [(0, 0), (0, 0), (0, q.shape[-2] - keys.stop), (0, 0)]
            dk += jnp.pad(product("bgins,bgink->bgsk", ds, q[..., rows, :]), later)
            dv += jnp.pad(product("bgins,bgink->bgsk", p.astype(q.dtype), own), later)
        return jnp.concatenate(dq, -2), dk, dv

    def step(carry: tuple[Array, ...], number: Array) -> tuple[tuple[Array, ...], None]:
        dq, k, v, dk, dv = carry
        after = _on(k), _on(v)
        more = shares(k, v, _before(number))
        dq, dk, dv = jax.tree.map(jnp.add, (dq, dk, dv), more)
        return (dq, *after, _on(dk), _on(dv)), None

    m = jax.lax.axis_size(AXIS)
    none = [jnp.zeros(x.shape, jnp.float32) for x in (q, k, v)]
    (dq, k, v, dk, dv), _ = jax.lax.scan(step, (none[0], k, v, *none[1:]), jnp.arange(m - 1))
    dq, dk, dv = jax.tree.map(jnp.add, (dq, dk, dv), shares(k, v, _before(m - 1)))
    dq, dk, dv = (x.astype(q.dtype) for x in (dq, _on(dk), _on(dv)))
    return dq, dk, dv


_average.defvjp(_forward, _backward)
