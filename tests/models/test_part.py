"""Every part of a block says the truth of itself; a new one is one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import linen as nn
from plugged import plugged

from experiments.cli.new import texts
from experiments.training.hypers import hypers
from experiments.training.step import init_state, recipe, train_chunk
from models import part
from models.config import TransformerConfig
from models.layout import of_weight
from models.module import STATE, Spec
from models.transformer import apply, empty_state, follow, init, stream_routed, weights
from scaling.common import plugins
from scaling.common.errors import UserError
from scaling.counting.formulas import (
    count,
    flops_by_part,
    flops_model,
    ledger,
    params_by_part,
    params_total,
    state_numbers,
)
from scaling.counting.traced_flops import matmul_flops
from scaling.machines.layout import Layout
from scaling.machines.memory import Step, memory
from scaling.machines.placement import check
from scaling.machines.program import PLAIN
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.weight import Weight

ROUTER = '''
"""Tokens go round the experts by position: no choice is learned."""

import jax.numpy as jnp

from models.routers._routes import Routed, queue
from models.part import Router


def route(seen):
    B, T, _ = seen.x.shape
    choice = (jnp.arange(T)[:, None] + jnp.arange(seen.active)) % seen.experts
    gates = jnp.full((B, T, seen.experts), 1 / seen.active)
    choice = jnp.broadcast_to(choice, (B, *choice.shape))
    routes, _ = queue(choice, gates, seen.experts, seen.capacity)
    return Routed(routes, {"share": jnp.float32(seen.active / seen.experts)})


ROUTER = Router(route=lambda: route, causal=True, source="a test", weights={})
'''

MIXER, _ = texts("mixer", "moving_average").values()  # the starting file of a mixer of one's own
FILES = {"models.mixers.moving_average": MIXER, "models.routers.in_turn": ROUTER}
BASE = TransformerConfig(layers=2, width=8, heads=4, kv_heads=2, head_dim=4, ffn=12, vocab_size=11)
HYBRID: dict[str, Any] = {"pattern": ("attention", "moving_average+mlp")}
CONTEXT = 6
TOKENS = jax.random.randint(jax.random.key(1), (2, CONTEXT), 0, 11)


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with plugged(tmp_path_factory.mktemp("plugins"), FILES):
        yield


def _names(folder: str) -> list[str]:
    """The files of a folder of parts, and that of this test."""
    own = [name.rpartition(".")[2] for name in FILES if name.startswith(f"models.{folder}.")]
    return [*plugins.names(f"models.{folder}"), *own]


# Changes of `BASE`: a model for every part that is found, hybrids, and layers that share weights
MIXERS: dict[str, dict[str, Any]] = {
    f"mixer {name}": {"pattern": (name,), "capacity_factor": 2.0} for name in _names("mixers")
}
FEED_FORWARDS = {
    f"ffn {name}": {"pattern": (f"attention+{name}",), "experts": 4} for name in _names("ffn")
}
ROUTERS = {
    f"router {name}": {"experts": 4, "capacity_factor": 2.0, "router": name}
    for name in _names("routers")
}
# of 8 slots for the 12 choices of 6 tokens, so that a mean is exact
EXACT = ("attention+zero_computation:zero=0:constant=1:share=1",)
FEED_FORWARDS["ffn zero_computation"]["pattern"] = EXACT
SHARED_EXPERTS = {"pattern": ("attention+experts:shared=2",), "experts": 4, "mlp": "swiglu"}
HYBRIDS = {"hybrid": HYBRID, "biased": {**HYBRID, "biases": "all"}}
SHARED = {
    "shared experts": {**SHARED_EXPERTS, "biases": "all"},
    "MoE++": {"pattern": EXACT, "experts": 4, "router": "gating_residual"},
    "MoE++, recurrent": {"pattern": EXACT, "experts": 4, "router": "recurrent"},
    "cycle": {"layers": 4, "sharing": "cycle", "layers_unique": 2, "experts": 4},
    "middle cycle": {"layers": 4, "sharing": "middle_cycle"},
    "cycle but norms": {"sharing": "cycle_but_norms", "experts": 4},
    "recursion, token choice": {
        "layers": 6,
        "recursion": "token_choice",
        "sharing": "middle_cycle",
        "layers_unique": 4,
    },
    "recursion, expert choice": {"layers": 2, "recursion": "expert_choice", "sharing": "cycle"},
}
BY_DEPTH: dict[str, Any] = {"layers": 3, "layer_heads": (0.5, 1.5), "layer_ffn": (0.25, 1.0)}
FACTORED: dict[str, Any] = {"weights": "low_rank_sparse", "weights_rank": 2, "weights_density": 0.3}
SIZED = {
    "low rank and sparse": {**FACTORED, "biases": "all", "mlp": "swiglu"},
    "sizes by depth": BY_DEPTH,
    "biased sizes by depth": {**BY_DEPTH, "biases": "all"},
}
MODELS: dict[str, dict[str, Any]] = MIXERS | FEED_FORWARDS | ROUTERS | HYBRIDS | SHARED | SIZED


def test_the_parts_are_found() -> None:
    assert {"mixer attention", "mixer moving_average", "ffn mlp", "ffn experts"} <= MODELS.keys()
    assert {"router top_k", "router in_turn", "hybrid"} <= MODELS.keys()
    with pytest.raises(UserError, match=r"^model.pattern=atention: .*did you mean 'attention'\?"):
        replace(BASE, pattern=("atention",))
    with pytest.raises(UserError, match=r"model.layers=2 is not a multiple of the 3 blocks"):
        replace(BASE, pattern=("attention",) * 3)


@pytest.mark.parametrize("name", MODELS)
def test_a_part_counts_itself(name: str) -> None:
    """By formula, by the weights that the model describes, and by the products it traces."""
    config = replace(BASE, **MODELS[name] | {"capacity_factor": 1.0})
    dims, spec = config.dims(CONTEXT), Spec(config)
    table = jax.tree.leaves(weights(spec, CONTEXT), is_leaf=lambda x: isinstance(x, Weight))
    active = max(each.copies_active for each in dims.parts)
    counted, book = count(table, active, partial(_uses, config)), ledger(dims, 1)
    assert counted == {key: book[key] for key in counted}
    params = jax.eval_shape(partial(init, spec, CONTEXT), jax.random.key(0))
    tokens = jax.ShapeDtypeStruct(TOKENS.shape, jnp.int32)
    traced = matmul_flops(partial(apply, spec), params, tokens)
    assert 3 * traced == flops_model(dims) * TOKENS.size
    assert sum(params_by_part(dims).values()) == params_total(dims)
    assert sum(flops_by_part(dims).values()) == flops_model(dims)


def _uses(config: TransformerConfig, weight: Weight) -> float:
    """Layers with this weight, by a walk over the depth; of half of the tokens half of one."""
    if weight.path.startswith("router_"):
        return config.layers
    if weight.layer is None or (config.sharing == "cycle_but_norms" and "norm" in weight.path):
        return 1
    uses = config.owners.count(weight.layer)
    return (1 + uses) / 2 if config.recursion != "none" else uses


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in MIXERS),  # see the next test
        *(*FEED_FORWARDS, *HYBRIDS),
    ],
)
def test_a_part_is_causal_as_it_says(name: str) -> None:
    config = replace(BASE, **MODELS[name])
    said = [part.mixer(mixer).causal and part.feed_forward(f).causal for mixer, f in config.blocks]
    spec = Spec(config)
    run = jax.jit(lambda tokens: apply(spec, init(spec, CONTEXT, jax.random.key(0)), tokens))
    moved = np.abs(run(TOKENS) - run(TOKENS.at[:, 3:].add(1) % 11))
    assert moved[:, 3:].max() > 0
    if all(said) and part.router(config.router).causal:
        np.testing.assert_array_equal(moved[:, :3], 0)
    else:
        assert moved[:, :3].max() > 0


@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_generates_from_its_state_and_sends_no_gradient_back_in_time(name: str) -> None:
    """One token at a time, and of the state the bytes that it counts."""
    spec = Spec(replace(BASE, layers=1, **MODELS[name], gains="none"))
    mixer = part.mixer(spec.config.pattern[0])
    module = mixer.module()(spec)
    x = jax.random.normal(jax.random.key(2), (2, CONTEXT, BASE.width))

    def run(params: Any, x: jax.Array) -> Any:
        return module.apply({"params": params}, x)

    def follow(params: Any, state: Any, x: jax.Array) -> Any:
        y, kept = module.apply({"params": params, **state}, x[:, None], mutable=[STATE])
        return kept, y[:, 0]

    @jax.jit
    def program(key: jax.Array) -> Any:
        params = nn.meta.unbox(module.init(key, x))["params"]
        filled = jax.eval_shape(partial(module.apply, mutable=[STATE]), {"params": params}, x)[1]
        state = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), filled)
        state, steps = jax.lax.scan(partial(follow, params), state, x.swapaxes(0, 1))
        slope = jax.grad(lambda x: jnp.sin(run(params, x))[:, :3].sum())(x)
        return run(params, x), steps.swapaxes(0, 1), slope, state

    whole, one_by_one, slope, state = program(jax.random.key(0))
    np.testing.assert_allclose(one_by_one, whole, rtol=1e-5, atol=1e-6)
    assert np.abs(slope[:, :3]).min() > 0
    assert (np.abs(slope[:, 3:]).max() == 0) == mixer.causal
    numbers = [leaf.size for leaf in jax.tree.leaves(state) if leaf.dtype == jnp.float32]
    assert sum(numbers) == 2 * state_numbers(spec.config.dims(CONTEXT))


@pytest.mark.parametrize(
    ("layers", "changes"),
    [
        ("scan", {"layers": 4, **HYBRID, "positions": "learned"}),
        pytest.param("unrolled", SHARED["middle cycle"], marks=pytest.mark.slow),
        pytest.param("scan", SHARED["cycle"] | {"capacity_factor": 2.0}, marks=pytest.mark.slow),
        ("unrolled", {"layers": 3, "sharing": "cycle_but_norms"}),
        ("unrolled", BY_DEPTH),
    ],
)
def test_a_model_generates_the_logits_of_the_whole_sequence(
    layers: Any, changes: dict[str, Any]
) -> None:
    """Layers of two kinds or shared, a table of positions, several tokens at once and then one."""
    spec = Spec(replace(BASE, **changes), program=replace(PLAIN, layers=layers))

    @jax.jit
    def program(key: jax.Array) -> Any:
        params, state, found = init(spec, CONTEXT, key), empty_state(spec, 2, CONTEXT), []
        for start, end in ((0, 3), (3, 4), (4, 6)):
            logits, state = follow(spec, params, state, TOKENS[:, start:end])
            found.append(logits)
        return jnp.concatenate(found, axis=1), apply(spec, params, TOKENS)

    np.testing.assert_allclose(*program(jax.random.key(0)), rtol=1e-5, atol=1e-6)


def test_the_settings_of_a_part_follow_its_name() -> None:
    wide = replace(BASE, pattern=("gated_delta:value=3:chunk=2",))
    assert wide.dims(4).blocks[0][1].letters == {"k": 3, "w": 12, "c": 4, "p": 2}
    for text, message in (
        ("gated_delta:size=3", "setting 'size': known: beta"),
        ("gated_delta:chunk=x", "chunk=x: expected int"),
        ("gated_delta:key=0.3", "key=0.3 of model.head_dim=4 is no size"),
        ("gated_delta:beta=3", r"beta=3: must lie in \(0, 2\]"),
        ("attention:window=8", "setting 'window': it has none"),
    ):
        with pytest.raises(UserError, match=f"^model.pattern={text}: {message}"):
            replace(BASE, pattern=(text,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sharing": "cycle", "layers_unique": 3},
            "layers_unique=3: model.sharing=cycle needs",
        ),
        ({"sharing": "middle_cycle", "layers": 1}, "needs 2 layers and a multiple"),
        ({"experts": 2, "experts_active": 3}, "experts_active=3: must lie between 1 and"),
        ({"norms": "peri", "pattern": ("qlstm",)}, "model.norms=peri: qlstm has no form for it"),
        ({"layer_ffn": (1.0,)}, r"model.layer_ffn=\(1.0,\): two positive factors"),
        (BY_DEPTH | {"sharing": "cycle"}, "layers that share weights .* have one size"),
        (FACTORED | {"experts": 4}, "model.weights=low_rank_sparse: experts has no form for it"),
        (FACTORED | {"quantized": "ternary"}, "no form with model.quantized=ternary"),
        ({"recursion": "token_choice"}, "recursion=token_choice: no layers are applied twice; set"),
        (
            {"recursion": "token_choice", "sharing": "cycle", "experts": 4},
            "hand nothing on to routers of experts; set model.experts=0",
        ),
        ({"experts": 4, "router": "hsah"}, "model.router=hsah: .*did you mean 'hash'?"),
    ],
)
def test_a_part_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(BASE, **changes)


def test_the_sizes_of_openelm_270m() -> None:
    """Key heads by layer, as its published config has them; their ffn is rounded to 256 besides."""
    config = TransformerConfig(
        layers=16, width=1280, heads=20, kv_heads=5, head_dim=64, ffn=5120,
        layer_heads=(0.5, 1.0), layer_ffn=(0.125, 1.0),
    )  # fmt: skip
    layers = [config.at(layer) for layer in range(16)]
    assert [each.kv_heads for each in layers] == [3] * 5 + [4] * 7 + [5] * 4
    assert {each.heads // each.kv_heads for each in layers} == {4}
    assert (layers[0].ffn, layers[-1].ffn) == (640, 5120)


def test_stages_do_not_split_layers_that_share_weights() -> None:
    dims = replace(BASE, layers=4, sharing="cycle", layers_unique=2).dims(CONTEXT)
    with pytest.raises(UserError, match=r"stage=2: stages would split the layers that share"):
        check(dims, 4, 4, Layout("pipeline", stage=2).over(2))


def test_the_state_of_a_sequence_by_hand() -> None:
    """Keys and values of 6 positions, 2 heads of 4: 96; 4 taps of 16 channels: 64."""
    assert state_numbers(replace(BASE, **HYBRID).dims(6)) == 96 + 64


def test_layers_of_sizes_by_depth_are_not_scanned() -> None:
    fields = ("model.layers=2", "model.layer_ffn=0.5,1", "execution.program.layers=scan")
    with pytest.raises(UserError, match=r"layers=scan: under sizes by depth no layers repeat"):
        recipe(tiny.config(*fields))
    with pytest.raises(UserError, match=r"base_ffn, base_attention: layers of sizes by depth"):
        tiny.config(*fields, "parametrization.base_ffn=64")


@pytest.mark.parametrize("changes", [{"layers": 4, **HYBRID}, {"sharing": "cycle", "experts": 2}])
def test_scanned_layers_are_the_unrolled_ones(changes: dict[str, Any]) -> None:
    logits = []
    for layers in ("unrolled", "scan"):
        spec = Spec(replace(BASE, **changes), program=replace(PLAIN, layers=layers))
        run = jax.jit(lambda key, spec=spec: apply(spec, init(spec, CONTEXT, key), TOKENS))
        logits.append(run(jax.random.key(0)))
    np.testing.assert_allclose(*logits, rtol=1e-5, atol=1e-6)


def test_a_new_mixer_trains_has_rules_and_is_laid_out() -> None:
    science = (
        "model.layers=2",
        "model.pattern=attention,moving_average",
        "parametrization.name=mup",
    )
    config = tiny.config(*science, "model.width=32", "parametrization.base_width=16")
    made, leaves = recipe(config), hypers(config.science)
    batch = jax.random.randint(jax.random.key(0), (1, 4, 17), 0, 256).repeat(8, axis=0)
    run = jax.jit(lambda: train_chunk(made, init_state(made, leaves), leaves, batch))
    losses = np.asarray(run()[1]["loss"])
    assert losses[-1] < losses[0] - 0.1
    table = {weight.path: weight for weight in made.table}
    into, taps = (table[f"blocks/moving_average/{name}"] for name in ("in", "taps"))
    mup = Parametrization("mup", base_width=16)
    assert mup.rule(into, config.science.model).learning_rate == 1 / 2
    assert mup.rule(taps, config.science.model).learning_rate == 1
    layout = Layout("fsdp_tensor", fsdp=2, tensor=2).over(4)
    assert tuple(of_weight(layout, into, "params")) == ("fsdp", "tensor", None)
    assert tuple(of_weight(layout, taps, "params")) == (None, "tensor", None)
    step = Step(4, 4, 1, 2, 4, "xla", "none", 1)
    dims = config.science.model.dims(16)
    assert memory(dims, step, layout=layout)["activations"] < memory(dims, step)["activations"]


def test_a_new_router_finds_what_it_names() -> None:
    config = replace(BASE, **MODELS["router in_turn"])
    params = init(Spec(config), CONTEXT, jax.random.key(0))
    found = jax.jit(partial(stream_routed, Spec(config), params))(TOKENS)[1]
    assert {name: float(value) for name, value in found.items()} == {"share": 0.5}
