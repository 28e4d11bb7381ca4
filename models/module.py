"""The base of every linen module here: a spec, weights made in one way, dense layers and taps."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from models.config import Phase, TransformerConfig
from models.dense import dense, int8, spread, ternary
from models.layout import constrain, gather
from models.weights import make_weight
from scaling.common.alphabet import parse
from scaling.machines.layout import Layout
from scaling.machines.program import PLAIN, Program
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.weight import Role

EPSILON = 1e-6
LOW_RANK_SCALE = 0.25  # alpha / r of A B: 32 / 128 of the smallest published run

Tokens = Int[Array | np.ndarray, "B T"]  # from a device or from the host

# Collections of values that a forward pass keeps on request; empty and free otherwise.
TAPS = "taps"  # activations
ROUTERS = "routers"  # of each use of a router, what it found by name
STATE = "state"  # of sequences that are generated: all that a layer keeps of their past


@dataclass(frozen=True)
class Spec:
    """All that is static about a model: hashable, so that it can be closed over or a jit key."""

    config: TransformerConfig = TransformerConfig()
    parametrization: Parametrization = Parametrization()
    program: Program = PLAIN
    compute: str = "float32"  # dtype of activations and products; parameters stay float32
    layout: Layout = Layout()  # settled
    phase: Phase = "evaluation"  # routers may differ in training


class Module(nn.Module):
    """A module of the model: it makes weights, dense layers of them, and lays activations out."""

    spec: Spec

    def weight(self, name: str, role: Role, letters: str, **others: int) -> Array:
        """A weight in the compute dtype; `others` sizes the letters that the config does not."""
        c = self.spec.config
        value = make_weight(
            self,
            name,
            role,
            letters,
            {**c.letters, "d": c.width, "v": c.vocab_size, **others},
            model=c,
            parametrization=self.spec.parametrization,
        )
        return gather(self.spec.layout, value.astype(self.spec.compute), letters)

    def dense(
        self, x: Array, name: str, letters: str, role: Role = "hidden", **others: int
    ) -> Array:
        """x [B, T, *inputs] -> [B, T, *outputs], with a bias where the config has biases.

        Of experts x [e, B, C, *inputs] -> [e, B, C, *outputs].
        """
        copies, _, outputs = parse(letters)
        if self.spec.config.weights == "low_rank_sparse":
            y = self._low_rank_sparse(x, name, letters, role, **others)
        else:
            y = self.product(x, self.weight(name, role, letters, **others), letters)
        if self.spec.config.biases == "all":
            own = f"{copies},->{outputs}".removeprefix(",")
            bias = self.weight(f"{name}_bias", "bias", own, **others)
            y += jnp.expand_dims(bias, (1, 2)) if copies else bias
        y = self.lay(y, f"{copies}BC{outputs}" if copies else f"BT{outputs}")
        self.tap(name, lambda: y)
        return y

    def _low_rank_sparse(
        self, x: Array, name: str, letters: str, role: Role, **others: int
    ) -> Array:
        """x A B / 4 + x S, with B = 0 at the start; S has its support in the same places of all
        layers."""
        c = self.spec.config
        _, inputs, outputs = parse(letters)
        sizes = {**c.letters, "d": c.width, **others}
        into, out = ([sizes[letter] for letter in side] for side in (inputs, outputs))
        rank = {**others, "l": c.weights_rank, "j": c.support(math.prod(out))}
        down = self.weight(f"{name}_down", "hidden", f"{inputs}->l", **rank)
        up = self.weight(f"{name}_up", "bias", f"l->{outputs}", **rank)
        values = self.weight(f"{name}_sparse", role, f"{inputs}->j", **rank)
        salt = zlib.crc32(f"{self.name}/{name}".encode())
        sparse = spread(values.reshape(-1, rank["j"]), math.prod(out), salt)
        low = self.product(self.product(x, down, f"{inputs}->l"), up, f"l->{outputs}")
        return LOW_RANK_SCALE * low + self.product(x, sparse.reshape(*into, *out), letters)

    def product(self, x: Array, w: Array, letters: str) -> Array:
        """x and w to x w, both rounded where the config says so (`models.dense.dense`)."""
        copies, inputs, _ = parse(letters)
        if self.spec.config.quantized == "ternary":
            x, w = int8(x, len(inputs)), ternary(w, len(copies))
        return dense(x, w, letters, self.spec.program.backward)

    @property
    def generates(self) -> bool:
        """True where the tokens follow on those of the calls before."""
        return self.is_mutable_collection(STATE) and not self.is_initializing()

    def past(self, name: str, start: Any) -> Any:
        """The value that the call before kept under a name; `start` where there was none."""
        kept = self.generates and self.has_variable(STATE, name)
        return self.get_variable(STATE, name) if kept else start

    def keep(self, name: str, value: Any) -> None:
        """Keep a value for the next call."""
        if self.generates:
            self.put_variable(STATE, name, jnp.asarray(value))

    def history(self, name: str, x: Array, time: int | Array) -> Array:
        """x [B, T, ...] in its place after those of the calls before, [B, S, ...].

        Args:
            time: positions before x. S is that of the first call.
        """
        every = self.past(name, jnp.zeros_like(x))
        every = jax.lax.dynamic_update_slice_in_dim(every, x, time, axis=1)
        self.keep(name, every)
        return every

    def lay(self, x: Array, letters: str) -> Array:
        """An activation, laid out by its letters."""
        return x if self.is_initializing() else constrain(self.spec.layout, x, letters)

    def tap(self, name: str, value: Callable[[], Any], kept: str = TAPS) -> None:
        """Keep a value in a collection, if the caller asked for that collection.

        Of a module that several layers share, `TAPS` keeps the last one's.
        """
        if self.is_mutable_collection(kept) and not self.is_initializing():
            last = {"init_fn": lambda: None, "reduce_fn": lambda _, new: new}
            self.sow(kept, name, value(), **(last if kept == TAPS else {}))


class Norm(Module):
    """x / rms(x), or (x - mean) / std, over the last axis in float32; then gain and bias."""

    letter: str = "d"
    kind: str = "rmsnorm"

    @nn.compact
    def __call__(self, x: Float[Array, "*axes"]) -> Float[Array, "*axes"]:
        c = self.spec.config
        y = x.astype(jnp.float32)
        if self.kind == "layernorm":
            y -= y.mean(-1, keepdims=True)
        y *= jax.lax.rsqrt(jnp.square(y).mean(-1, keepdims=True) + EPSILON)
        y = y.astype(x.dtype)
        if c.gains == "vector":
            y *= self.weight("gain", "gain", f"->{self.letter}", **{self.letter: x.shape[-1]})
        if c.gains == "scalar":
            y *= self.weight("gain", "gain", "->")
        if c.biases == "all" and self.kind == "layernorm":
            y += self.weight("bias", "bias", f"->{self.letter}", **{self.letter: x.shape[-1]})
        return y
