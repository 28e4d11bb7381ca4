"""Experts without slots: products over the rows that hold a token, one expert after another.

    y_r = x_r W_e,    e the expert of row r;    sizes_e rows of expert e, in this order

A token has a row for each of its experts, so that no row waits for a token. Each device groups its
own tokens, and has all experts whole. Blocks for a CPU: XLA:CPU multiplies each row of a
`ragged_dot` with every expert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from models.dense import int8, ternary
from models.ffn._mlp import ACTIVATIONS
from models.layout import by_block
from models.module import Module
from models.routers._routes import Routes, combine, dispatch
from scaling.common.alphabet import parse

BLOCK = 64  # rows of a block at most

# (x [N, i], w [e, i, o], rows of each expert [e]) -> [N, o]
Product = Callable[[Array, Array, Array], Array]
_OVER_ROWS = jax.lax.RaggedDotDimensionNumbers((((0,), (0,)), ((), ())), [0], [])


# a population's members one after another: ragged products of several have no rule
@jax.custom_batching.sequential_vmap
def _forward(x: Array, w: Array, sizes: Array) -> Array:
    return jax.lax.ragged_dot(x, w, sizes)


@jax.custom_batching.sequential_vmap
def _over_rows(x: Array, dy: Array, sizes: Array) -> Array:
    """The sums of x_r dy_r of each expert, [e, i, o]."""
    return jax.lax.ragged_dot_general(x, dy, sizes, _OVER_ROWS)


@jax.custom_vjp
def ragged(x: Array, w: Array, sizes: Array) -> Array:
    """The product of a `ragged_dot`."""
    return _forward(x, w, sizes)


def _ragged_forward(x: Array, w: Array, sizes: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    return _forward(x, w, sizes), (x, w, sizes)


def _ragged_backward(saved: tuple[Array, Array, Array], dy: Array) -> tuple[Array, Array, None]:
    x, w, sizes = saved
    return _forward(dy, w.swapaxes(1, 2), sizes), _over_rows(x, dy, sizes), None


ragged.defvjp(_ragged_forward, _ragged_backward)


def _blocks_of(block: int, sizes: Array, *rows: Array) -> tuple[Array, ...]:
    """The expert of each block of rows, and the blocks."""
    blocks = [x.reshape(-1, block, x.shape[-1]) for x in rows]
    first = jnp.arange(len(blocks[0])) * block
    expert = jnp.searchsorted(jnp.cumsum(sizes), first, side="right")
    return jnp.minimum(expert, len(sizes) - 1), *blocks


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def by_blocks(block: int, x: Array, w: Array, sizes: Array) -> Array:
    """The product of one block of rows after another; `block` divides every size."""
    expert, blocks = _blocks_of(block, sizes, x)
    y = jax.lax.map(lambda each: each[0] @ w[each[1]], (blocks, expert))
    return y.reshape(len(x), -1)


def _blocks_forward(
    block: int, x: Array, w: Array, sizes: Array
) -> tuple[Array, tuple[Array, Array, Array]]:
    return by_blocks(block, x, w, sizes), (x, w, sizes)


def _blocks_backward(
    block: int, saved: tuple[Array, Array, Array], dy: Array
) -> tuple[Array, Array, None]:
    x, w, sizes = saved

    def add(dw: Array, each: tuple[Array, ...]) -> tuple[Array, None]:
        expert, x, dy = each
        product = jnp.einsum("ni,no->io", x, dy, preferred_element_type=jnp.float32)
        return dw.at[expert].add(product), None

    start = jnp.zeros(w.shape, jnp.float32)
    dw, _ = jax.lax.scan(add, start, _blocks_of(block, sizes, x, dy))
    return by_blocks(block, dy, w.swapaxes(1, 2), sizes), dw.astype(w.dtype), None


by_blocks.defvjp(_blocks_forward, _blocks_backward)


def _small_blocks(rows: int, experts: int) -> tuple[int, Product]:
    """At most half of an expert's rows where all have as many."""
    block = max(1, min(BLOCK, rows // (2 * experts)))
    return block, partial(by_blocks, block)


# By `Program.backward`, from the numbers of rows and experts: the number that every expert's rows
# are a multiple of, and the product
PRODUCTS: Mapping[str, Callable[[int, int], tuple[int, Product]]] = {
    "plain": lambda rows, experts: (1, ragged),
    "barrier": _small_blocks,
}


def group(
    expert: Int[Array, "T a"], weight: Float[Array, "T a"], experts: int, rows: int, multiple: int
) -> tuple[Routes, Int[Array, " e"]]:
    """The way of T tokens to rows and back, and the rows of each expert.

    Args:
        expert: of each choice; `experts` where it has none.
        rows: the most choices that have one.
        multiple: of the rows of each expert; the last of them are empty.
    """
    T, a = expert.shape
    choice = expert.reshape(-1)
    order = jnp.argsort(choice)  # stable
    bounds = jnp.searchsorted(choice[order], jnp.arange(experts + 1))
    full = jnp.diff(bounds)
    sizes = -(-full // multiple) * multiple
    ends = jnp.cumsum(sizes)
    shift = ends - sizes - bounds[:-1]  # of an expert's first row from its first choice in order
    N = -(-(rows + experts * (multiple - 1)) // multiple) * multiple
    own = jnp.minimum(jnp.searchsorted(ends, jnp.arange(N), side="right"), experts - 1)
    place = jnp.arange(N) - shift[own]
    chosen = order.at[jnp.where(place < bounds[own + 1], place, T * a)]
    pair = chosen.get(mode="fill", fill_value=T * a)
    slot = jnp.argsort(order) + shift[jnp.minimum(choice, experts - 1)]
    slot = jnp.where(choice < experts, slot, N).reshape(T, a)
    own_weight = weight.reshape(-1).at[pair].get(mode="fill", fill_value=0)
    return Routes((pair // a)[None], slot[None], own_weight[None]), sizes


class Grouped(Module):
    """The weights of `Mlp` for each expert, applied to the rows of the tokens that chose it."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T d"], routes: Routes) -> Float[Array, "B T d"]:
        c, layout = self.spec.config, self.spec.layout
        gated = c.mlp == "swiglu"
        letters = {"in": "e,d->f", **({"gate": "e,d->f"} if gated else {}), "out": "e,f->d"}
        weights = {name: self.weight(name, "hidden", text) for name, text in letters.items()}
        if c.biases == "all":
            own = {f"{name}_bias": f"e,->{text[-1]}" for name, text in letters.items()}
            weights |= {name: self.weight(name, "bias", text) for name, text in own.items()}
            letters |= own
        N = routes.token.shape[1]  # slots of a sequence
        slot = routes.slot.reshape(len(x), -1)
        weight = jnp.take_along_axis(routes.weight, slot, 1, mode="fill", fill_value=0)

        def work(x: Array, expert: Array, weight: Array, *weights: Array) -> Array:
            own, (B, T, a) = dict(zip(letters, weights, strict=True)), expert.shape
            rows = B * min(T * a, N)
            multiple, product = PRODUCTS[self.spec.program.backward](rows, c.experts)
            expert, weight = expert.reshape(-1, a), weight.reshape(-1, a)
            way, sizes = group(expert, weight, c.experts, rows, multiple)

            def dense(x: Array, name: str) -> Array:
                w = own[name]
                if c.quantized == "ternary":
                    x, w = int8(x, 1), ternary(w, 1)
                y = product(x, w, sizes)
                if c.biases == "all":
                    bias = own[f"{name}_bias"]
                    y += jnp.repeat(bias, sizes, axis=0, total_repeat_length=len(y))
                if layout.devices == 1:
                    self.tap(name, lambda: y)
                return y

            act, into = ACTIVATIONS[c.mlp], dispatch(x.reshape(1, B * T, -1), way.token, way.slot)
            y = dense(into[0], "in")
            y = dense(act(dense(into[0], "gate")) * y if gated else act(y), "out")
            y *= way.weight[0, :, None].astype(y.dtype)
            return combine(y[None], way.token, way.slot).reshape(x.shape)

        arrays = (x, routes.slot // (N // c.experts), weight.reshape(routes.slot.shape))
        of_weights = (parse(text).axes for text in letters.values())
        return by_block(layout, work, ("BTd", "BTa", "BTa", *of_weights), "BTd")(
            *arrays, *weights.values()
        )
