"""The objective of a step from a model's residual stream: all logits at once, or chunk by chunk.

Letters: `scaling.common.alphabet`; n chunks of T / n positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from models.layout import constrain
from models.module import Spec, Tokens
from models.transformer import readout, stream, stream_routed
from models.weights import Params

Windows = Int[Array | np.ndarray, "B W"]  # from a device or from the host
Penalties = Mapping[str, Array | float]
NO_PENALTIES: Penalties = {"z_loss": 0.0}


class Teaching(NamedTuple):
    """Teachers of a run: their parameters, fixed, and the numbers of the lesson.

    Attributes:
        share: a, of the divergence from the teachers in the objective.
        temperature: T, by which all logits are divided.
    """

    share: Float[Array, ""]
    temperature: Float[Array, ""]
    teachers: tuple[Params, ...]


class Losses(NamedTuple):
    """Means over the tokens of some windows, each token from those before it.

    Attributes:
        cross_entropy: nats per token.
        found: values that penalties multiply, by their names, and others that parts report.
            "z_loss" is (ln Z)^2, with Z the sum of the exponentials of the logits.
    """

    cross_entropy: Float[Array, ""]
    found: dict[str, Float[Array, ""]]


def loss(spec: Spec, params: Params, windows: Windows) -> Float[Array, ""]:
    """Mean cross-entropy in nats per token, each token from those before it in its window."""
    return _losses(spec, *stream(spec, params, windows[:, :-1]), windows[:, 1:]).cross_entropy


def objective(
    spec: Spec, params: Params, windows: Windows, penalties: Penalties,
    teachers: tuple[Spec, ...] = (), teaching: Teaching | None = None,
) -> tuple[Float[Array, ""], Losses]:  # fmt: skip
    """cross_entropy + sum_k penalties[k] * found[k], and its parts; with teachers `_taught`.

    A penalty adds nothing if no part of the model finds its value.

    In chunks, memory holds one chunk of logits, computed once: the forward pass has the gradients
    of x and w up to a scalar, the upstream gradient.
    """
    (x, w), routing = stream_routed(spec, params, windows[:, :-1])
    if teaching is None:
        how = _objective if spec.program.logits_chunks == 1 else _in_chunks
        value, losses = how(spec, x, w, windows[:, 1:], penalties["z_loss"])
    else:
        pairs = zip(teachers, teaching.teachers, strict=True)
        streams = [stream(own, fixed, windows[:, :-1]) for own, fixed in pairs]
        value, losses = _taught(
            spec, x, w, windows[:, 1:], penalties["z_loss"], teachers, streams, teaching
        )
    if "log_policy" in routing:
        reward = _rewards(spec, x, w, windows[:, 1:])
        routing |= reinforce(reward, routing.pop("log_policy"), routing.pop("baseline"))
    for name in penalties:
        if name in routing:
            value += penalties[name] * routing[name]
    return value, losses._replace(found=losses.found | routing)


def reinforce(
    reward: Float[Array, "B T"], log_policy: Float[Array, "L B T"], baseline: Float[Array, "L B T"]
) -> dict[str, Float[Array, ""]]:
    """policy_loss = -mean (R - b) ln pi and baseline_loss = mean (R - b)^2 (Williams 1992).

    No gradient of the first reaches b, and none of either the reward.
    """
    advantage = jax.lax.stop_gradient(reward) - baseline
    weight = jax.lax.stop_gradient(advantage)
    return {
        "policy_loss": -(weight * log_policy).mean(),
        "baseline_loss": jnp.square(advantage).mean(),
    }


def _rewards(
    spec: Spec, x: Float[Array, "B T d"], w: Float[Array, "d v"], labels: Tokens
) -> Float[Array, "B T"]:
    """ln p of every label, without a gradient."""
    n = spec.program.logits_chunks

    def of(chunk: tuple[Array, Array]) -> Array:
        logits, labels = readout(spec, chunk[0], w), chunk[1]
        right = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
        return right - jax.nn.logsumexp(logits, axis=-1)

    x, w = jax.lax.stop_gradient((x, w))
    if n == 1:
        return of((x, jnp.asarray(labels)))
    return jnp.moveaxis(jax.lax.map(of, (_chunks(x, n), _chunks(labels, n))), 0, 2).reshape(
        labels.shape
    )


def _of_logits(logits: Float[Array, "B T v"], labels: Tokens) -> Losses:
    log_z = jax.nn.logsumexp(logits, axis=-1)
    right = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return Losses((log_z - right).mean(), {"z_loss": jnp.square(log_z).mean()})


def _zero() -> Losses:
    return Losses(jnp.float32(0), {"z_loss": jnp.float32(0)})


def _losses(spec: Spec, x: Float[Array, "B T d"], w: Float[Array, "d v"], labels: Tokens) -> Losses:
    n = spec.program.logits_chunks
    if n == 1:
        return _of_logits(readout(spec, x, w), labels)

    def add(total: Losses, chunk: tuple[Array, Array]) -> tuple[Losses, None]:
        x, labels = chunk
        return jax.tree.map(jnp.add, total, _of_logits(readout(spec, x, w), labels)), None

    total, _ = jax.lax.scan(add, _zero(), (_chunks(x, n), _chunks(labels, n)))
    return jax.tree.map(lambda sum: sum / n, total)


def _objective(
    spec: Spec,
    x: Float[Array, "B T d"],
    w: Float[Array, "d v"],
    labels: Tokens,
    z_loss: Array | float,
) -> tuple[Float[Array, ""], Losses]:
    losses = _losses(spec, x, w, labels)
    return losses.cross_entropy + z_loss * losses.found["z_loss"], losses


def _taught(
    spec: Spec, x: Array, w: Array, labels: Tokens, z_loss: Array | float,
    teachers: tuple[Spec, ...], streams: list[tuple[Array, Array]], teaching: Teaching,
) -> tuple[Float[Array, ""], Losses]:  # fmt: skip
    """(1 - a) cross_entropy + a T^2 divergence + z_loss * found["z_loss"] (Hinton et al. 2015).

    divergence = KL(softmax(t / T) || softmax(s / T)), s the logits and t the mean of the teachers'.
    No gradient reaches a teacher. One chunk of logits is in memory at a time.
    """
    n, T = spec.program.logits_chunks, teaching.temperature

    def of(chunk: tuple[Array, Array, list[Array]]) -> Losses:
        x, labels, others = chunk
        s = readout(spec, x, w)
        found = [readout(o, y, u) for o, y, (_, u) in zip(teachers, others, streams, strict=True)]
        t = jax.lax.stop_gradient(sum(found) / len(found))
        ln_p, ln_q = jax.nn.log_softmax(t / T), jax.nn.log_softmax(s / T)
        losses = _of_logits(s, labels)
        divergence = (jnp.exp(ln_p) * (ln_p - ln_q)).sum(-1).mean()
        return losses._replace(found=losses.found | {"divergence": divergence})

    stacked = [jax.lax.stop_gradient(y) for y, _ in streams]
    if n == 1:
        losses = of((x, jnp.asarray(labels), stacked))
    else:
        every = (_chunks(x, n), _chunks(labels, n), [_chunks(y, n) for y in stacked])
        losses = jax.tree.map(lambda each: each.mean(), jax.lax.map(jax.checkpoint(of), every))
    a, found = teaching.share, losses.found
    lesson = a * T**2 * found["divergence"] + z_loss * found["z_loss"]
    return (1 - a) * losses.cross_entropy + lesson, losses


_in_chunks = jax.custom_vjp(_objective, nondiff_argnums=(0,))


def _forward(
    spec: Spec, x: Array, w: Array, labels: Array, z_loss: Array | float
) -> tuple[tuple[Array, Losses], tuple[Array, Array]]:
    """d objective / d logits = (softmax (1 + 2 z_loss ln Z) - [v is the label]) / tokens.

    Each device adds up the gradient of w over its own tokens, in float32. The sums of all devices
    are added once, after the last chunk.
    """
    n, tokens = spec.program.logits_chunks, labels.size
    shares = _shares(spec, *labels.shape)

    def add(carry: Any, chunk: tuple[Array, Array]) -> tuple[Any, Array]:
        total, dw = carry
        x, labels = chunk
        logits, pull = jax.vjp(lambda x: readout(spec, x, w), x)
        log_z = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
        is_label = labels[..., None] == jnp.arange(logits.shape[-1])
        right = jnp.where(is_label, logits, 0).sum(-1, keepdims=True)
        slope = jnp.exp(logits - log_z) * (1 + 2 * z_loss * log_z) - is_label
        (dx,) = pull(slope / tokens)
        more = _own_gradients(spec, shares, x, (slope / tokens).astype(x.dtype))
        sums = Losses((log_z - right).sum(), {"z_loss": jnp.square(log_z).sum()})
        return (jax.tree.map(jnp.add, total, sums), dw + more), dx

    zero = (_zero(), constrain(spec.layout, jnp.zeros((*shares, *w.shape)), "BTdv"))
    (total, dw), dx = jax.lax.scan(add, zero, (_chunks(x, n), _chunks(labels, n)))
    losses = jax.tree.map(lambda sum: sum / tokens, total)
    value = losses.cross_entropy + z_loss * losses.found["z_loss"]
    dw = dw.sum((0, 1)).astype(w.dtype)
    return (value, losses), (jnp.moveaxis(dx, 0, 2).reshape(x.shape), dw)


def _shares(spec: Spec, B: int, T: int) -> tuple[int, int]:
    """The shares of sequences and of positions that devices have, of those of one chunk."""
    sequences, positions = spec.layout.batch_ways, spec.layout.sizes["sequence"]
    T //= spec.program.logits_chunks
    return (
        1 if B % sequences else sequences,
        1 if T % positions else positions,
    )


def _own_gradients(
    spec: Spec, shares: tuple[int, int], x: Float[Array, "B T d"], slope: Float[Array, "B T v"]
) -> Float[Array, "*axes d v"]:
    """sum x slope over the tokens of each share, in float32."""
    a, b = shares
    xs, slopes = (y.reshape(a, -1, b, y.shape[1] // b, y.shape[2]) for y in (x, slope))
    found = jnp.einsum("aibjd,aibjv->abdv", xs, slopes, preferred_element_type=jnp.float32)
    return constrain(spec.layout, found, "BTdv")


def _backward(
    spec: Spec, slopes: tuple[Array, Array], given: tuple[Array, Losses]
) -> tuple[Array, Array, None, None]:
    dx, dw = slopes
    return given[0].astype(dx.dtype) * dx, given[0].astype(dw.dtype) * dw, None, None


_in_chunks.defvjp(_forward, _backward)


def _chunks(x: Array | np.ndarray, n: int) -> Array:
    """[B, T, ...] to [n, B, T / n, ...]: every n-th position, so that devices may split T."""
    B, T = x.shape[:2]
    return jnp.moveaxis(x.reshape(B, T // n, n, *x.shape[2:]), 2, 0)
