"""The layer of experts with some that cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from models.config import TransformerConfig
from models.dense import dense
from models.ffn._experts import Experts
from models.routers._routes import Routed


class ZeroComputation(Experts):
    """`Experts`, whose tokens may choose zero, copy and constant ones, in this order after them."""

    zero: int = 0
    copy: int = 0
    constant: int = 0
    share: float = 1.0
    slots: Callable[[TransformerConfig, int], int] = TransformerConfig.capacity

    def route(self, x: Float[Array, "B T d"], memory: Mapping[str, Array]) -> Routed:
        """As of `Experts`, and router_free: the share of choices that cost nothing."""
        c = self.spec.config
        routed = super().route(x, memory)
        assert routed.gates is not None
        free = (routed.gates[..., c.experts :] > 0).sum(-1).mean() / c.experts_active
        found = {**routed.found, "router_free": free}
        found["router_dropped"] = found["router_dropped"] - free
        return routed._replace(found=found)

    def beside(self, x: Float[Array, "B T d"], gates: Array | None) -> Iterator[Array]:
        """The copies of a token and its constants, each times its gate."""
        assert gates is not None
        first = self.spec.config.experts + self.zero
        copied, gates = gates[..., first : first + self.copy], gates[..., first + self.copy :]
        own = copied.sum(-1, keepdims=True)
        if self.constant:
            sizes = {"q": self.constant, "m": 2}
            mix = self.weight("mix", "router", "d->qm", **sizes).astype(jnp.float32)
            with jax.default_matmul_precision("highest"):
                logits = dense(x.astype(jnp.float32), mix, "d->qm", self.spec.program.backward)
            terms = gates[..., None] * jax.nn.softmax(logits, axis=-1)
            own += terms[..., 0].sum(-1, keepdims=True)
            constants = self.weight("constants", "bias", "q->d", **sizes)
            vectors = terms[..., 1].astype(x.dtype)
            yield self.lay(dense(vectors, constants, "q->d", self.spec.program.backward), "BTd")
        yield own.astype(x.dtype) * x

    @property
    def choices(self) -> int:
        """Feed-forward experts and those that cost nothing."""
        return self.spec.config.experts + self.zero + self.copy + self.constant

    def capacity(self, context: int) -> int:
        """The slots of a feed-forward expert for a sequence."""
        return self.slots(self.spec.config, context)

    @property
    def price(self) -> Array:
        """As 1 : share for the two kinds of experts; at balance the loss is 1."""
        experts = self.spec.config.experts
        price = np.full(self.choices, self.share, np.float32)
        price[:experts] = 1
        return jnp.asarray(price * (1 / price).mean())
