"""The layer of experts: it gathers tokens for its experts, and sums their outputs back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from models import part
from models.dense import dense
from models.ffn._grouped import Grouped
from models.ffn._mlp import Mlp
from models.module import ROUTERS, Module
from models.routers._routes import Routed, Routes, Seen, combine, dispatch
from scaling.common.alphabet import parse

Memory = Mapping[str, Array]


class Experts(Module):
    """Several `Mlp`, some of them for each token, and `shared` more for all.

    Each device gathers its tokens into slots. An all-to-all brings the slots of each expert to the
    devices that have its weights, and another brings them back. Grouped products have no slots:
    `models.ffn._grouped`.
    """

    shared: int = 0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T d"], memory: Memory, raw: Float[Array, "B T d"] | None = None
    ) -> tuple[Float[Array, "B T d"], Memory]:
        """Each token's experts, of `raw` if that is given, and what the next layer is handed."""
        routes, found, gates, changes = self.route(x, memory)
        self.tap("routing", lambda: found, ROUTERS)
        x = x if raw is None else raw
        if self.spec.program.experts == "grouped":
            y = self.lay(Grouped(self.spec, name="experts")(x, routes), "BTd")
        else:
            y = self._by_slots(x, routes)
        for more in self.beside(x, gates):
            y += more
        return y, {**memory, **changes}

    def _by_slots(self, x: Float[Array, "B T d"], routes: Routes) -> Float[Array, "B T d"]:
        c = self.spec.config
        slots = dispatch(x, routes.token, routes.slot).reshape(len(x), c.experts, -1, c.width)
        slots = self.lay(self.lay(slots, "BrCd").swapaxes(0, 1), "eBCd")
        slots = Mlp(self.spec, "e,", name="experts")(slots).swapaxes(0, 1)
        y = self.lay(slots, "BrCd").reshape(len(x), -1, c.width)
        y *= routes.weight[..., None].astype(x.dtype)
        return self.lay(combine(y, routes.token, routes.slot), "BTd")

    def beside(self, x: Float[Array, "B T d"], gates: Array | None) -> Iterator[Array]:
        """Further terms of the sum, which need no slots."""
        if self.shared:
            yield Mlp(self.spec, wide=self.shared, name="shared")(x)

    @property
    def choices(self) -> int:
        """The r choices of a token."""
        return self.spec.config.experts

    def capacity(self, context: int) -> int:
        """The slots of an expert for a sequence."""
        return self.spec.config.capacity(context)

    @property
    def price(self) -> Array | float:
        """The prices of the choices (`Seen.price`)."""
        return 1.0

    def route(self, x: Float[Array, "B T d"], memory: Memory) -> Routed:
        """The answer of the config's router, whose weights are made here.

        In float32 at any compute dtype, for one rounding may change the choice.
        """
        c, router = self.spec.config, part.router(self.spec.config.router)
        every, sizes = {**router.weights, **router.shared}, router.letters(c)
        weights = {
            name: self.weight(name, role, letters, r=self.choices, **sizes).astype(jnp.float32)
            for name, (role, letters) in router.weights.items()
        }
        weights |= {name: memory[name] for name in router.shared}

        def product(x: Array, name: str) -> Array:
            _, letters = every[name]
            with jax.default_matmul_precision("highest"):
                y = dense(x.astype(jnp.float32), weights[name], letters, self.spec.program.backward)
            y = self.lay(y, f"BT{parse(letters).outputs}")
            self.tap(name, lambda: y)
            return y

        found: Routed = router.route()(
            Seen(
                x=x,
                product=product,
                weights=weights,
                memory=memory,
                experts=c.experts,
                active=c.experts_active,
                capacity=self.capacity(x.shape[1]),
                training=self.spec.phase == "training",
                price=self.price,
            )
        )
        return found
