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
from models.config import RECURSION_ROUTERS, TransformerConfig
from models.dense import dense
from models.layout import constrain
from models.module import ROUTERS, STATE, TAPS, Module, Norm, Spec, Tokens
from models.pipeline import pipeline
from models.routers._recursion import recur
from models.weights import STACK, Params, describe, initialise, layer_name
from scaling.common.errors import UserError
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.weight import Weight

# handed from a layer to the next: for routers (`Router.carries`), "positions" [B, T] of tokens that
# were gathered from a sequence, and "documents" [B, T], the number of each token's
Memory = Mapping[str, Array]
Carry = tuple[Float[Array, "B T d"], Memory]

TURN = 3  # place of the argument `turn` of a block, which is static
REMATS: Mapping[str, Callable[..., type[nn.Module]]] = {
    "none": lambda block, **_: block,
    "block": nn.remat,
    "dots": partial(nn.remat, policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable),
}


class Block(Module):
    """x + mixer(norm(x)), then x + mlp(norm(x)); or both from one norm, in parallel.

    With peri-norms values and feed-forward read x itself; queries, keys and routers norm(x).
    """

    place: int = 0  # in the pattern

    @nn.compact
    def __call__(self, x: Float[Array, "B T d"], memory: Memory, turn: int = 0) -> Carry:
        """The stream and memory after the block; it is the `turn`-th layer with norms apart."""
        c = self.spec.config
        text, feed_forward = c.blocks[self.place]
        name = text.partition(":")[0]
        mixing = part.mixer(text)
        mixer = mixing.module()(self.spec, name=name)
        places = {name: memory[name] for name in ("positions", "documents") if name in memory}
        if mixing.positions == "unread":
            places.pop("positions", None)
        found = part.feed_forward(feed_forward)
        mlp = found.module()(self.spec, name="mlp")

        def norm(x: Array, name: str) -> Array:
            own = f"{name}_{turn}" if turn else name
            return Norm(self.spec, kind=c.norm, name=own)(x)

        def feed(y: Array, *raw: Array) -> tuple[Array, Memory]:
            if found.memory == "none":
                return mlp(*raw or (y,)), memory
            y, changed = mlp(y, memory, *raw)
            return y, changed

        if c.block == "parallel":
            y = norm(x, "norm")
            z, memory = feed(y)
            return self._stream(x + self._branch(mixer(y, **places) + z)), memory
        raw = (x,) if c.norms == "peri" else ()
        x = x + self._branch(mixer(norm(x, f"{name}_norm"), *raw, **places))
        raw = (x,) if c.norms == "peri" else ()
        y, memory = feed(norm(x, "mlp_norm"), *raw)
        return self._stream(x + self._branch(y)), memory

    def _branch(self, x: Array) -> Array:
        factor = self.spec.parametrization.residual_factor(self.spec.config)
        return x * jnp.asarray(factor, x.dtype)

    def _stream(self, x: Array) -> Array:
        self.tap("stream", lambda: x)
        return x


class _ScannedBlock(Block):
    """`Block` in the (carry, output) form of a scan."""

    def __call__(self, carry: Carry, _: None) -> tuple[Carry, None]:
        return super().__call__(*carry), None


class _ScannedPattern(Module):
    """The blocks of one repeat, in the form of a scan."""

    @nn.compact
    def __call__(self, carry: Carry, _: None) -> tuple[Carry, None]:
        c = self.spec.config
        for place in range(c.period):
            carry = Block(self.spec, place % len(c.pattern), name=str(place))(*carry)
        return carry, None


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
        x, _ = self._blocks(x, {**self._memory(tokens), **self._documents(tokens)})
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

    def _documents(self, tokens: Tokens) -> Memory:
        """The number of separators before each token, where the model has documents."""
        if self.spec.config.separator < 0:
            return {}
        ends = (jnp.asarray(tokens) == self.spec.config.separator).astype(jnp.int32)
        after = self.past("documents", jnp.zeros_like(ends[:, :1])) + ends.cumsum(1)
        self.keep("documents", after[:, -1:])
        return {"documents": after - ends}

    def _memory(self, tokens: Tokens) -> Memory:
        """The arrays that the first layer is handed, for the router if the model has one."""
        c = self.spec.config
        if all(part.feed_forward(name).memory == "none" for _, name in c.blocks):
            return {}
        router = part.router(c.router)
        own = router.letters(c)
        sizes = {**c.letters, "d": c.width, **own}
        dims = c.dims(tokens.shape[1])
        sizes["r"] = max(dims.lengths(each)["r"] for each in dims.parts)
        zeros = {
            name: jnp.zeros((*tokens.shape, *(sizes[letter] for letter in letters)))
            for name, letters in router.carries.items()
        }
        shared = {
            name: self.weight(f"router_{name}", role, letters, **own).astype(jnp.float32)
            for name, (role, letters) in router.shared.items()
        }
        return {
            **zeros,
            **shared,
            **({"tokens": jnp.asarray(tokens)} if router.tokens == "read" else {}),
        }

    def _blocks(self, x: Array, memory: Memory) -> Carry:
        c, layout = self.spec.config, self.spec.layout
        remat = REMATS[self.spec.program.remat]
        if self.spec.program.layers == "scan":
            shared = c.sharing != "none"
            body = _ScannedBlock if c.period == 1 and not shared else _ScannedPattern
            scan = partial(
                nn.scan,
                # a loop's body is no place where a backward pass could merge with the forward one
                remat(body, prevent_cse=False),
                variable_axes={**({} if shared else {"params": 0}), TAPS: 0, ROUTERS: 0, STATE: 0},
                variable_broadcast="params" if shared else False,
                split_rngs={"params": not shared},
            )
            repeats = c.layers // c.period
            if layout.stage > 1 and not self.is_mutable_collection(TAPS):
                length = repeats // (layout.stage * layout.rounds)
                stage = scan(length=length)(self.spec, parent=None)

                def work(params: Params, x: Array) -> tuple[Array, Any]:
                    (carry, _), found = stage.apply(
                        {"params": params}, (x, {}), None, mutable=[ROUTERS]
                    )
                    return carry[0], found

                x, found = pipeline(layout, work, self.get_variable("params", STACK), x)
                self.tap(STACK, lambda: found, ROUTERS)
                return x, memory
            return scan(length=repeats)(self.spec, name=STACK)((x, memory), None)[0]
        blocks = {
            owner: remat(Block, static_argnums=TURN)(
                replace(self.spec, config=c.at(owner)),
                owner % len(c.pattern),
                name=layer_name(owner),
            )
            for owner in dict.fromkeys(c.owners)
        }
        if c.recursion != "none":
            return self._recursions(x, blocks), memory
        for layer, owner in enumerate(c.owners):
            x, memory = blocks[owner](x, memory, c.turn(layer))
        return x, memory

    def _recursions(self, x: Float[Array, "B T d"], blocks: Mapping[int, Block]) -> Array:
        """The stream after the shared layers, each applied to the tokens that its router chose."""
        c, backward = self.spec.config, self.spec.program.backward
        weights = {
            name: self.weight(f"recursion_{name}", "router", "d->u", u=c.recursions)
            for name in RECURSION_ROUTERS[c.recursion]
        }
        shared = [blocks[owner] for owner in blocks if c.ends <= owner < c.layers - c.ends]

        def product(x: Array, name: str, columns: slice) -> Array:
            w = weights[name][:, columns].astype(jnp.float32)
            with jax.default_matmul_precision("highest"):
                return dense(x.astype(jnp.float32), w, "d->u", backward)

        def layers(x: Array, positions: Array) -> Array:
            for block in shared:
                x, _ = block(x, {"positions": positions}, 0)
            return x

        if c.ends:
            x, _ = blocks[0](x, {}, 0)
        training = self.spec.phase == "training"
        x, found = recur(c, x, layers, product, training)
        self.tap("recursion", lambda: found, ROUTERS)
        if c.ends:
            x, _ = blocks[c.layers - 1](x, {}, 0)
        return x


def weights(spec: Spec, context: int) -> Any:
    """The tree of `Weight` of this model for sequences of `context` tokens.

    It is the same for every parametrization, and the model is traced once for all.
    """
    return _weights(replace(spec, parametrization=Parametrization()), context)


def leaves(config: TransformerConfig, context: int) -> list[Weight]:
    """Every `Weight` of a model for sequences of `context` tokens."""
    found: list[Weight] = jax.tree.leaves(
        weights(Spec(config), context), is_leaf=lambda leaf: isinstance(leaf, Weight)
    )
    return found


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
    """As `stream` while it trains, and what the routers found, by name.

    Scalars are means over the layers; arrays [B, T] of every layer are stacked.
    """
    training = replace(spec, phase="training")
    last, kept = Transformer(training).apply({"params": params}, tokens, mutable=[ROUTERS])
    layers: dict[str, list[Array]] = {}
    for path, value in jax.tree_util.tree_leaves_with_path(kept):
        layers.setdefault(path[-1].key, []).append(value)
    return last, {name: _over_layers(values) for name, values in layers.items()}


def _over_layers(values: list[Array]) -> Array:
    """The mean of scalars; arrays [B, T] stacked. Each may have a leading axis of layers."""
    if values[0].ndim < 2:
        return jnp.stack(values).mean()
    return jnp.concatenate([x.reshape(-1, *x.shape[-2:]) for x in values])


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
    if spec.config.recursion != "none":
        raise UserError(
            f"model.recursion={spec.config.recursion}: generates no tokens one by one; it can be "
            "evaluated, not sampled"
        )
    if spec.config.sharing != "none" and spec.program.layers == "unrolled":
        spec, params = _apart(spec, params)
    variables = {"params": params, **({STATE: state} if state else {})}
    last, kept = Transformer(spec).apply(variables, tokens, mutable=[STATE])
    return last, kept[STATE]


def _apart(spec: Spec, params: Params) -> tuple[Spec, Params]:
    """The same model with weights for every layer, so that each use of them has its own state."""
    c = spec.config

    def layer(i: int) -> Params:
        own = params[layer_name(c.owners[i])]
        turn = c.turn(i)
        return own | {
            name: own[f"{name}_{turn}"] for name in own if turn and f"{name}_{turn}" in own
        }

    ends = {name: value for name, value in params.items() if not name.startswith(f"{STACK}_")}
    every = {layer_name(i): layer(i) for i in range(c.layers)}
    return replace(spec, config=replace(c, sharing="none", layers_unique=0)), ends | every


def activations(spec: Spec, params: Params, tokens: Tokens) -> Params:
    """The named activations of a forward pass, a tree like that of the modules.

    Each is [B, T, ...], with a leading axis of layers where they are scanned: "embedded", the
    output of every dense layer, "attention/logits" and "stream" of a block, and "logits".
    """
    last, variables = Transformer(spec).apply({"params": params}, tokens, mutable=[TAPS])
    taps: Params = variables[TAPS]
    return taps | {"logits": readout(spec, *last)}
