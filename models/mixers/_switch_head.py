"""Attention whose values and outputs are of experts that each head chooses for each token.

    v_t = sum over the chosen e of s_te x_t V_e      y_t = sum over the chosen e of s'_te a_t O_e

with s and s' sigmoids of x_t, and a_t the average of a head. Tokens lie in slots of the experts of
a head, as in models/routers/_routes.py.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from models.config import TransformerConfig
from models.dense import dense
from models.mixers._attention import attended, queries_and_keys
from models.module import Module
from models.routers._routes import Routes, combine, dispatch, highest, queue


class SwitchHead(Module):
    """Queries and keys of all tokens; values and outputs of experts."""

    experts: int
    active: int
    capacity: Callable[[TransformerConfig, int], int]  # slots of an expert, of T tokens

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T d"],
        raw: Float[Array, "B T d"] | None = None,
        positions: Int[Array, "B T"] | None = None,
        documents: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T d"]:
        """Queries, keys and choices are of x, values of `raw` if that is given."""
        c, time = self.spec.config, self.past("time", 0)
        q, k, scale = queries_and_keys(self, x, time if positions is None else positions)
        routes = self._routes(x, "value_router", "d->gx")
        into = self.weight("value", "hidden", "x,d->gk", x=self.experts)
        source = jnp.broadcast_to(x if raw is None else raw, (c.kv_heads, *x.shape))
        v = self._by_experts(source, routes, into.transpose(2, 0, 1, 3), "d->k")
        v = self._biased(v.transpose(1, 2, 0, 3), "value", "gk")
        y = attended(self, q, k, self.lay(v, "BTgk"), scale, time, documents)
        routes = self._routes(x, "out_router", "d->hx")
        out = self.weight("out", "hidden", "x,hk->d", x=self.experts)
        y = self._by_experts(y.transpose(2, 0, 1, 3), routes, out.swapaxes(0, 1), "k->d").sum(0)
        return self._biased(self.lay(y, "BTd"), "out", "d")

    def _routes(self, x: Array, name: str, letters: str) -> Routes:
        """The slots of each token in every head; a leading axis of heads."""
        w = self.weight(name, "router", letters, x=self.experts).astype(jnp.float32)
        with jax.default_matmul_precision("highest"):
            logits = dense(x.astype(jnp.float32), w, letters, self.spec.program.backward)
        s = jax.nn.sigmoid(self.lay(logits, f"BT{letters[-2:]}"))
        capacity = self.capacity(self.spec.config, x.shape[1])

        def of_head(s: Array) -> Routes:
            return queue(highest(s, self.active), s, self.experts, capacity)[0]

        return jax.vmap(of_head, 2)(s)

    def _by_experts(self, x: Array, routes: Routes, w: Array, letters: str) -> Array:
        """x [h, B, T, i] of heads and w [h, x, i, o] of their experts to [h, B, T, o]."""
        h, B = x.shape[:2]
        slots = jax.vmap(dispatch)(x, routes.token, routes.slot)
        slots = slots.reshape(h, B, self.experts, -1, x.shape[-1]).swapaxes(1, 2)
        slots = self.lay(slots.reshape(-1, B, *slots.shape[3:]), f"zBC{letters[0]}")
        y = self.product(slots, w.reshape(-1, *w.shape[2:]), f"z,{letters}")
        y = self.lay(y, f"zBC{letters[-1]}").reshape(h, self.experts, B, -1, w.shape[-1])
        y = y.swapaxes(1, 2).reshape(h, B, -1, w.shape[-1])
        y *= routes.weight[..., None].astype(y.dtype)
        return jax.vmap(combine)(y, routes.token, routes.slot)

    def _biased(self, y: Array, name: str, letters: str) -> Array:
        """The output of a layer of experts, with a bias where the config has biases."""
        if self.spec.config.biases == "all":
            y += self.weight(f"{name}_bias", "bias", f"->{letters}")
        self.tap(name, lambda: y)
        return y
