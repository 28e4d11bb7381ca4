"""A decoder-only transformer in flax.linen; every choice is a name in `TransformerConfig`.

Letters: `scaling.common.alphabet`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from models import part
from models.dense import dense
from models.layout import constrain
from models.module import ROUTERS, STATE, TAPS, Module, Norm, Spec, Tokens
from models.pipeline import pipeline
from models.weights import STACK, Params, describe, initialise, layer_name
from scaling.parametrization.parametrization import Parametrization

REMATS: Mapping[str, Callable[..., type[nn.Module]]] = {
    "none": lambda block, **_: block,
    "block": nn.remat,
    "dots": partial(nn.remat, policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable),
}


class Block(Module):
    """x + mixer(norm(x)), then x + mlp(norm(x)); or both from one norm, in parallel."""

    place: int = 0  # in the pattern

    @nn.compact
    def __call__(self, x: Float[Array, "B T d"]) -> Float[Array, "B T d"]:
        norm = partial(Norm, self.spec, kind=self.spec.config.norm)
        text, feed_forward = self.spec.config.blocks[self.place]
        name = text.partition(":")[0]
        mixer = part.mixer(text).module()(self.spec, name=name)
        mlp = part.feed_forward(feed_forward).module()(self.spec, name="mlp")
        if self.spec.config.block == "parallel":
            y = norm(name="norm")(x)
            return self._stream(x + self._branch(mixer(y) + mlp(y)))
        x = x + self._branch(mixer(norm(name=f"{name}_norm")(x)))
        return self._stream(x + self._branch(mlp(norm(name="mlp_norm")(x))))

    def _branch(self, x: Array) -> Array:
        factor = self.spec.parametrization.residual_factor(self.spec.config)
        return x * jnp.asarray(factor, x.dtype)

    def _stream(self, x: Array) -> Array:
        self.tap("stream", lambda: x)
        return x


class _ScannedBlock(Block):
    """`Block` in the (carry, output) form of a scan."""

    def __call__(self, x: Float[Array, "B T d"], _: None) -> tuple[Float[Array, "B T d"], None]:
        return super().__call__(x), None


class _ScannedPattern(Module):
    """The blocks of one repeat of the pattern, in the form of a scan."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T d"], _: None) -> tuple[Float[Array, "B T d"], None]:
        for place in range(len(self.spec.config.pattern)):
            x = Block(self.spec, place, name=str(place))(x)
        return x, None


class Transformer(Module):
    """The residual stream after all blocks, and the readout that it meets."""

    @nn.compact
    def __call__(self, tokens: Tokens) -> tuple[Float[Array, "B T d"], Float[Array, "d v"]]:
        spec, c = self.spec, self.spec.config
        embedding = self.weight("embedding", "embedding", "v->d")
        x = jnp.take(embedding, tokens, axis=0)
        if c.positions == "learned":
            x += self._positions(tokens.shape[1])
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

    def _positions(self, new: int) -> Array:
        """The rows of the position table of these tokens; of generated ones the next."""
        if not self.generates:
            return self.weight("position", "position", "t->d", t=new)
        time = self.past("time", 0)
        self.keep("time", time + new)
        rows = len(self.get_variable("params", "position"))
        table = self.weight("position", "position", "t->d", t=rows)
        return jax.lax.dynamic_slice_in_dim(table, time, new)

    def _blocks(self, x: Array) -> Array:
        remat, blocks = REMATS[self.spec.program.remat], len(self.spec.config.pattern)
        if self.spec.program.layers == "scan":
            scan = partial(
                nn.scan,
                # a loop's body is no place where a backward pass could merge with the forward one
                remat(_ScannedBlock if blocks == 1 else _ScannedPattern, prevent_cse=False),
                variable_axes={"params": 0, TAPS: 0, ROUTERS: 0, STATE: 0},
                split_rngs={"params": True},
            )
            repeats, layout = self.spec.config.layers // blocks, self.spec.layout
            if layout.stage > 1 and not self.is_mutable_collection(TAPS):
                stage = scan(length=repeats // layout.stage)(self.spec, parent=None)
                return pipeline(
                    layout,
                    lambda params, x: stage.apply({"params": params}, x, None)[0],
                    self.get_variable("params", STACK),
                    x,
                )
            return scan(length=repeats)(self.spec, name=STACK)(x, None)[0]
        for layer in range(self.spec.config.layers):
            x = remat(Block)(self.spec, layer % blocks, name=layer_name(layer))(x)
        return x


def weights(spec: Spec, context: int) -> Any:
    """The tree of `Weight` of this model for sequences of `context` tokens.

    It is the same for every parametrization, and the model is traced once for all.
    """
    return _weights(replace(spec, parametrization=Parametrization()), context)


@cache
def _weights(spec: Spec, context: int) -> Any:
    return describe(lambda key: Transformer(spec).init(key, jnp.zeros((1, context), jnp.int32)))


def init(spec: Spec, context: int, key: Array, init_scale: float | Array = 1.0) -> Params:
    """Fresh parameters, a plain nested dict in float32; call it under jit."""
    tree = weights(spec, context)
    return initialise(tree, spec.parametrization, spec.config, key, init_scale)


def stream(
    spec: Spec, params: Params, tokens: Tokens
) -> tuple[Float[Array, "B T d"], Float[Array, "d v"]]:
    """The residual stream after all blocks, and the readout that it meets."""
    return Transformer(spec).apply({"params": params}, tokens)


def stream_routed(
    spec: Spec, params: Params, tokens: Tokens
) -> tuple[tuple[Float[Array, "B T d"], Float[Array, "d v"]], dict[str, Float[Array, ""]]]:
    """As `stream`, and the scalars that the routers found, by name: means over the layers."""
    last, kept = Transformer(spec).apply({"params": params}, tokens, mutable=[ROUTERS])
    layers: dict[str, list[Array]] = {}
    for path, value in jax.tree_util.tree_leaves_with_path(kept):
        layers.setdefault(path[-1].key, []).append(value)
    return last, {name: jnp.stack(values).mean() for name, values in layers.items()}


def readout(spec: Spec, x: Float[Array, "B T d"], w: Float[Array, "d v"]) -> Float[Array, "B T v"]:
    """Logits in float32 from both results of `stream`, or from some positions of the first."""
    logits = dense(x, w, "d->v", spec.program.backward).astype(jnp.float32)
    return constrain(spec.layout, logits, "BTv")


def apply(spec: Spec, params: Params, tokens: Tokens) -> Float[Array, "B T v"]:
    """Logits in float32, of all positions at once."""
    return readout(spec, *stream(spec, params, tokens))


def empty_state(spec: Spec, sequences: int, context: int) -> Any:
    """The state of sequences of no tokens yet, each with room for `context` of them."""
    shapes = jax.eval_shape(partial(init, spec, context), jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((sequences, context), jnp.int32)
    filled = jax.eval_shape(lambda params, x: _follow(spec, params, {}, x)[1], shapes, tokens)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), filled)


def follow(
    spec: Spec, params: Params, state: Any, tokens: Tokens
) -> tuple[Float[Array, "B T v"], Any]:
    """Logits of tokens that follow on those of a state, in float32, and the state after them.

    One token at a time or several, the logits are those of the whole sequence. Pure.

    Args:
        state: of `empty_state`, or of this.
    """
    last, state = _follow(spec, params, state, tokens)
    return readout(spec, *last), state


def _follow(spec: Spec, params: Params, state: Any, tokens: Tokens) -> tuple[Any, Any]:
    variables = {"params": params, **({STATE: state} if state else {})}
    last, kept = Transformer(spec).apply(variables, tokens, mutable=[STATE])
    return last, kept[STATE]


def activations(spec: Spec, params: Params, tokens: Tokens) -> Params:
    """The named activations of a forward pass, a tree like that of the modules.

    Each is [B, T, ...], with a leading axis of layers where they are scanned: "embedded", the
    output of every dense layer, "attention/logits" and "stream" of a block, and "logits".
    """
    last, variables = Transformer(spec).apply({"params": params}, tokens, mutable=[TAPS])
    taps: Params = variables[TAPS]
    return taps | {"logits": readout(spec, *last)}
