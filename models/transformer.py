"""A decoder-only transformer in flax.linen; every choice is a name in `TransformerConfig`.

Letters: d width, h query heads, g key-value heads, k head size, f feed-forward width, v vocabulary,
t position, e experts where their weights are, r experts to choose from. Arrays: B batch, T position
or C slot of an expert, then these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from models.config import PLAIN, Program, TransformerConfig
from models.dense import dense
from models.ffn.experts import Routing, combine, dispatch, route
from models.layout import constrain, gather
from models.mixers.attention import attend, causal_scores, rotate
from models.pipeline import pipeline
from models.weights import STACK, Params, describe, initialise, layer_name, make_weight
from scaling.machines.layout import Layout
from scaling.parametrization.parametrization import Parametrization, Role, parse

EPSILON = 1e-6

# Collections, empty and free unless somebody asks for them
TAPS = "taps"  # activations
ROUTERS = "routers"  # the `Routing` of each layer

ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "relu2": lambda x: jnp.square(jax.nn.relu(x)),
    "swiglu": jax.nn.silu,  # of the gate
}


REMATS: Mapping[str, Callable[..., type[nn.Module]]] = {
    "none": lambda block, **_: block,
    "block": nn.remat,
    "dots": partial(nn.remat, policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable),
}


@dataclass(frozen=True)
class Spec:
    """All that is static about a model: hashable, so that it can be closed over or a jit key."""

    config: TransformerConfig = TransformerConfig()
    parametrization: Parametrization = Parametrization()
    program: Program = PLAIN
    compute: str = "float32"  # dtype of activations and products; parameters stay float32
    layout: Layout = Layout()  # settled


class _Part(nn.Module):
    """What the parts share: the spec, weights made in the one way, and dense layers of them."""

    spec: Spec

    def weight(self, name: str, role: Role, letters: str, **others: int) -> Array:
        """A weight in the compute dtype; `others` sizes the letters that the config does not."""
        c = self.spec.config
        sizes = {"d": c.width, "h": c.heads, "g": c.kv_heads, "k": c.head_dim, "f": c.ffn}
        value = make_weight(
            self,
            name,
            role,
            letters,
            sizes | {"v": c.vocab_size, "e": c.experts, "r": c.experts} | others,
            model=c,
            parametrization=self.spec.parametrization,
        )
        return gather(self.spec.layout, value.astype(self.spec.compute), letters)

    def dense(self, x: Array, name: str, letters: str, role: Role = "hidden") -> Array:
        """x [B, T, *inputs] -> [B, T, *outputs], with a bias where the config has biases.

        Of experts x [e, B, C, *inputs] -> [e, B, C, *outputs].
        """
        y = dense(x, self.weight(name, role, letters), letters, self.spec.program.backward)
        copies, _, outputs = parse(letters)
        if self.spec.config.biases == "all":
            bias = self.weight(f"{name}_bias", "bias", f"{copies},->{outputs}".removeprefix(","))
            y += jnp.expand_dims(bias, (1, 2)) if copies else bias
        y = self.lay(y, f"{copies}BC{outputs}" if copies else f"BT{outputs}")
        self.tap(name, lambda: y)
        return y

    def lay(self, x: Array, letters: str) -> Array:
        """An activation, laid out by its letters."""
        return x if self.is_initializing() else constrain(self.spec.layout, x, letters)

    def tap(self, name: str, value: Callable[[], Any], kept: str = TAPS) -> None:
        """Keep an activation under its place, where somebody asks for its kind; else nothing."""
        if self.is_mutable_collection(kept) and not self.is_initializing():
            self.sow(kept, name, value(), init_fn=lambda: None, reduce_fn=lambda _, new: new)


class Norm(_Part):
    """x / rms(x), or (x - mean) / std, over the last axis in float32; then gain and bias."""

    letter: str = "d"
    kind: str = "rmsnorm"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        c = self.spec.config
        y = x.astype(jnp.float32)
        if self.kind == "layernorm":
            y -= y.mean(-1, keepdims=True)
        y *= jax.lax.rsqrt(jnp.square(y).mean(-1, keepdims=True) + EPSILON)
        y = y.astype(x.dtype)
        if c.gains == "vector":
            y *= self.weight("gain", "gain", f"->{self.letter}")
        if c.gains == "scalar":
            y *= self.weight("gain", "gain", "->")
        if c.biases == "all" and self.kind == "layernorm":
            y += self.weight("bias", "bias", f"->{self.letter}")
        return y


class Attention(_Part):
    """Multi-head, grouped-query or multi-query causal self-attention."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        c = self.spec.config
        q = self.dense(x, "query", "d->hk", "query")
        k = self.dense(x, "key", "d->gk")
        v = self.dense(x, "value", "d->gk")
        if c.qk_norm == "rmsnorm":
            q = Norm(self.spec, "k", name="query_norm")(q)
            k = Norm(self.spec, "k", name="key_norm")(k)
        if c.positions == "rope":
            q, k = rotate(q), rotate(k)
        scale = self.spec.parametrization.attention_factor(c.head_dim)
        self.tap("logits", lambda: causal_scores(q, k, scale))
        y = attend(q, k, v, scale, self.spec.program.attention, self.spec.layout)
        return self.dense(y, "out", "hk->d")


class Mlp(_Part):
    """act(x W_in) W_out, or (act(x W_gate) * x W_in) W_out when gated."""

    copies: str = ""  # "e,": one for each expert, with an x of its own

    @nn.compact
    def __call__(self, x: Array) -> Array:
        act = ACTIVATIONS[self.spec.config.mlp]
        into, back = f"{self.copies}d->f", f"{self.copies}f->d"
        y = self.dense(x, "in", into)
        y = act(self.dense(x, "gate", into)) * y if self.spec.config.mlp == "swiglu" else act(y)
        return self.dense(y, "out", back)


class Experts(_Part):
    """A choice of several `Mlp` for each token (models/ffn/experts.py).

    Tokens are put into slots where they are, and the slots of each expert are brought to the
    devices that have its weights and back: an all-to-all either way.
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        c, T = self.spec.config, x.shape[1]
        # in float32 whatever the compute dtype, for one rounding may make it another choice
        router = self.weight("router", "router", "d->r").astype(jnp.float32)
        logits = dense(x.astype(jnp.float32), router, "d->r", self.spec.program.backward)
        logits = self.lay(logits, "BTr")
        self.tap("router", lambda: logits)
        routes, routing = route(logits, c.experts_active, c.capacity(T))
        self.tap("routing", lambda: routing, ROUTERS)
        slots = dispatch(x, routes.token, routes.slot).reshape(len(x), c.experts, -1, c.width)
        slots = self.lay(self.lay(slots, "BrCd").swapaxes(0, 1), "eBCd")
        slots = Mlp(self.spec, "e,", name="experts")(slots).swapaxes(0, 1)
        y = self.lay(slots, "BrCd").reshape(len(x), -1, c.width)
        y *= routes.weight[..., None].astype(x.dtype)
        return self.lay(combine(y, routes.token, routes.slot), "BTd")


class Block(_Part):
    """x + attention(norm(x)), then x + mlp(norm(x)); or both from one norm, in parallel."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        norm = partial(Norm, self.spec, kind=self.spec.config.norm)
        attention = Attention(self.spec, name="attention")
        mlp = (Experts if self.spec.config.experts else Mlp)(self.spec, name="mlp")
        if self.spec.config.block == "parallel":
            y = norm(name="norm")(x)
            return self._stream(x + self._branch(attention(y) + mlp(y)))
        x = x + self._branch(attention(norm(name="attention_norm")(x)))
        return self._stream(x + self._branch(mlp(norm(name="mlp_norm")(x))))

    def _branch(self, x: Array) -> Array:
        factor = self.spec.parametrization.residual_factor(self.spec.config)
        return x * jnp.asarray(factor, x.dtype)

    def _stream(self, x: Array) -> Array:
        self.tap("stream", lambda: x)
        return x


class _ScannedBlock(Block):
    """`Block` in the (carry, output) form that a scan wants."""

    def __call__(self, x: Array, _: None) -> tuple[Array, None]:
        return super().__call__(x), None


class Transformer(_Part):
    """Tokens [B, T] -> the stream after all blocks [B, T, d], and the readout [d, V] it meets."""

    @nn.compact
    def __call__(self, tokens: Array) -> tuple[Array, Array]:
        spec, c = self.spec, self.spec.config
        embedding = self.weight("embedding", "embedding", "v->d")
        x = jnp.take(embedding, tokens, axis=0)
        if c.positions == "learned":
            x += self.weight("position", "position", "t->d", t=tokens.shape[1])
        if c.embedding_norm == "rmsnorm":
            x = Norm(spec, name="embedding_norm")(x)
        x = self.lay(x, "BTd")
        self.tap("embedded", lambda: x)
        x = self._blocks(x)
        x = Norm(spec, kind=c.norm, name="final_norm")(x)
        if c.embeddings == "untied":
            return x, self.weight("readout", "readout", "d->v")
        scale = spec.parametrization.tied_readout_factor(c)
        return x * jnp.asarray(scale, x.dtype), embedding.T

    def _blocks(self, x: Array) -> Array:
        remat = REMATS[self.spec.program.remat]
        if self.spec.program.layers == "scan":
            scan = partial(
                nn.scan,
                # a loop's body is no place where a backward pass could merge with the forward one
                remat(_ScannedBlock, prevent_cse=False),
                variable_axes={"params": 0, TAPS: 0, ROUTERS: 0},
                split_rngs={"params": True},
            )
            layers, layout = self.spec.config.layers, self.spec.layout
            if layout.stage > 1 and not self.is_mutable_collection(TAPS):
                stage = scan(length=layers // layout.stage)(self.spec, parent=None)
                return pipeline(
                    layout,
                    lambda params, x: stage.apply({"params": params}, x, None)[0],
                    self.get_variable("params", STACK),
                    x,
                )
            return scan(length=layers)(self.spec, name=STACK)(x, None)[0]
        for layer in range(self.spec.config.layers):
            x = remat(Block)(self.spec, name=layer_name(layer))(x)
        return x


def weights(spec: Spec, context: int) -> Any:
    """The tree of `Weight` of this model for sequences of `context` tokens."""
    return describe(lambda key: Transformer(spec).init(key, jnp.zeros((1, context), jnp.int32)))


def init(spec: Spec, context: int, key: Array, init_scale: float | Array = 1.0) -> Params:
    """Fresh parameters, a plain nested dict in float32; call it under jit."""
    tree = weights(spec, context)
    return initialise(tree, spec.parametrization, spec.config, key, init_scale)


def stream(spec: Spec, params: Params, tokens: Array) -> tuple[Array, Array]:
    """Tokens [B, T] -> the stream after all blocks [B, T, d], and the readout [d, V] it meets."""
    return Transformer(spec).apply({"params": params}, tokens)


def stream_routed(
    spec: Spec, params: Params, tokens: Array
) -> tuple[tuple[Array, Array], Routing | None]:
    """As `stream`, and what the routers say, the mean over the layers; None of a dense model."""
    if not spec.config.experts:
        return stream(spec, params, tokens), None
    found, kept = Transformer(spec).apply({"params": params}, tokens, mutable=[ROUTERS])
    layers = jax.tree.leaves(kept, is_leaf=lambda x: isinstance(x, Routing))
    return found, jax.tree.map(lambda *x: jnp.stack(x).mean(), *layers)


def readout(spec: Spec, x: Array, w: Array) -> Array:
    """What `stream` gives, or some positions of it -> logits [B, T, V] in float32."""
    logits = dense(x, w, "d->v", spec.program.backward).astype(jnp.float32)
    return constrain(spec.layout, logits, "BTv")


def apply(spec: Spec, params: Params, tokens: Array) -> Array:
    """Tokens [B, T] -> logits [B, T, V] in float32, of all positions at once."""
    return readout(spec, *stream(spec, params, tokens))


def activations(spec: Spec, params: Params, tokens: Array) -> Params:
    """The named activations of a forward pass, a tree like that of the modules.

    Each is [B, T, ...], with a leading axis of layers where they are scanned: "embedded", of a
    block every dense layer's output, "attention/logits" and "stream", and the model's "logits".
    """
    last, variables = Transformer(spec).apply({"params": params}, tokens, mutable=[TAPS])
    taps: Params = variables[TAPS]
    return taps | {"logits": readout(spec, *last)}
