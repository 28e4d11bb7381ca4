"""What a step minimises, from the last stream of a model: all logits at once, or chunk by chunk.

Letters: M sequences, T positions, d width, V vocabulary, n chunks of t = T / n positions.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from models.module import Spec
from models.transformer import readout, stream, stream_routed
from models.weights import Params


class Losses(NamedTuple):
    """Means over the tokens of some windows, each token from those before it."""

    cross_entropy: Array  # nats per token
    log_z_squared: Array  # (ln Z)^2, with Z the sum of the exponentials of the logits
    routing: dict[str, Array]  # of its routers, means over the layers


def loss(spec: Spec, params: Params, windows: Array) -> Array:
    """Mean cross-entropy in nats per token of [M, T+1] windows: each token from those before it."""
    return _losses(spec, *stream(spec, params, windows[:, :-1]), windows[:, 1:]).cross_entropy


def objective(
    spec: Spec,
    params: Params,
    windows: Array,
    z_loss: Array | float,
    balance_loss: Array | float,
    router_z_loss: Array | float,
) -> tuple[Array, Losses]:
    """cross_entropy + z_loss * log_z_squared of [M, T+1] windows, to be differentiated; and both.

    With experts, also balance_loss and router_z_loss times what the routers found by these names.

    In chunks, the logits of only one are ever held, and they are computed once: what the stream and
    the readout get back from the loss is known, up to a factor, as soon as the loss is.
    """
    (x, w), routing = stream_routed(spec, params, windows[:, :-1])
    how = _objective if spec.program.logits_chunks == 1 else _in_chunks
    value, found = how(spec, x, w, windows[:, 1:], z_loss)
    weights = {"balance_loss": balance_loss, "router_z_loss": router_z_loss}
    if penalties := [weight * routing[k] for k, weight in weights.items() if k in routing]:
        value += sum(penalties)
    return value, found._replace(routing=routing)


def _zero() -> Losses:
    cross_entropy, log_z_squared = jnp.zeros(2)
    return Losses(cross_entropy, log_z_squared, {})


def _of_logits(logits: Array, labels: Array) -> Losses:
    log_z = jax.nn.logsumexp(logits, axis=-1)
    right = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return Losses((log_z - right).mean(), jnp.square(log_z).mean(), {})


def _losses(spec: Spec, x: Array, w: Array, labels: Array) -> Losses:
    n = spec.program.logits_chunks
    if n == 1:
        return _of_logits(readout(spec, x, w), labels)

    def add(total: Losses, chunk: tuple[Array, Array]) -> tuple[Losses, None]:
        x, labels = chunk
        return jax.tree.map(jnp.add, total, _of_logits(readout(spec, x, w), labels)), None

    total, _ = jax.lax.scan(add, _zero(), (_chunks(x, n), _chunks(labels, n)))
    return jax.tree.map(lambda sum: sum / n, total)


def _objective(
    spec: Spec, x: Array, w: Array, labels: Array, z_loss: Array | float
) -> tuple[Array, Losses]:
    found = _losses(spec, x, w, labels)
    return found.cross_entropy + z_loss * found.log_z_squared, found


_in_chunks = jax.custom_vjp(_objective, nondiff_argnums=(0,))


def _forward(
    spec: Spec, x: Array, w: Array, labels: Array, z_loss: Array
) -> tuple[tuple[Array, Losses], tuple[Array, Array]]:
    """d objective / d logits = (softmax (1 + 2 z_loss ln Z) - [v is the label]) / tokens."""
    n, tokens = spec.program.logits_chunks, labels.size

    def add(carry: Any, chunk: tuple[Array, Array]) -> tuple[Any, Array]:
        total, dw = carry
        x, labels = chunk
        logits, pull = jax.vjp(partial(readout, spec), x, w)
        log_z = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
        is_label = labels[..., None] == jnp.arange(logits.shape[-1])
        right = jnp.where(is_label, logits, 0).sum(-1, keepdims=True)
        slope = jnp.exp(logits - log_z) * (1 + 2 * z_loss * log_z) - is_label
        dx, more = pull(slope / tokens)
        sums = Losses((log_z - right).sum(), jnp.square(log_z).sum(), {})
        return (jax.tree.map(jnp.add, total, sums), dw + more), dx

    zero = (
        _zero(),
        jnp.zeros(w.shape),
    )  # in float32 though w may be in less
    (total, dw), dx = jax.lax.scan(add, zero, (_chunks(x, n), _chunks(labels, n)))
    found = jax.tree.map(lambda sum: sum / tokens, total)
    value = found.cross_entropy + z_loss * found.log_z_squared
    return (value, found), (jnp.moveaxis(dx, 0, 2).reshape(x.shape), dw.astype(w.dtype))


def _backward(
    spec: Spec, slopes: tuple[Array, Array], given: tuple[Array, Losses]
) -> tuple[Array, Array, None, None]:
    dx, dw = slopes
    return given[0].astype(dx.dtype) * dx, given[0].astype(dw.dtype) * dw, None, None


_in_chunks.defvjp(_forward, _backward)


def _chunks(x: Array, n: int) -> Array:
    """[M, T, ...] -> [n, M, t, ...]: every n-th position, so that T may be split over devices."""
    M, T = x.shape[:2]
    return jnp.moveaxis(x.reshape(M, T // n, n, *x.shape[2:]), 2, 0)
