"""The tables against the published ones, row by row; m = 256 / 64 = 4."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick_jit

from experiments.config import BatchConfig, OptimizerConfig, RunConfig, ScheduleConfig, Science
from experiments.hypers import hypers
from experiments.step import init_state, loss, recipe, train_chunk
from models.config import TransformerConfig
from models.transformer import Spec, apply, init, weights
from scaling.errors import UserError
from scaling.parametrization import (
    EMBEDDING_STD,
    TABLES,
    Name,
    Parametrization,
    Role,
    Rule,
    Weight,
)

WIDTH = 256
SP, MUP = Parametrization("sp", 64, 16), Parametrization("mup", 64, 16)
WEIGHTS: dict[Role, Weight] = {
    "embedding": Weight("embedding", "embedding", "v->d", (50, WIDTH)),
    "position": Weight("position", "position", "t->d", (32, WIDTH)),
    "hidden": Weight("blocks/mlp/in", "hidden", "d->f", (WIDTH, 1024)),
    "readout": Weight("readout", "readout", "d->v", (WIDTH, 50)),
    "gain": Weight("final_norm/gain", "gain", "->d", (WIDTH,)),
    "bias": Weight("blocks/mlp/in_bias", "bias", "->f", (1024,)),
}
VECTOR = Rule(init_std=0.0, multiplier=1, learning_rate=1, weight_decay=0, epsilon=1)
SP_ROWS: dict[Role, Rule] = {
    "embedding": Rule(init_std=EMBEDDING_STD),
    "position": Rule(init_std=EMBEDDING_STD),
    "hidden": Rule(init_std=1 / 16),  # variance 1 / fan_in
    "readout": Rule(init_std=1 / 16),
    "gain": VECTOR,
    "bias": VECTOR,
}
MUP_ROWS: dict[Role, Rule] = {
    "embedding": Rule(init_std=EMBEDDING_STD, epsilon=1 / 4),
    "position": Rule(init_std=EMBEDDING_STD, epsilon=1 / 4),
    # variance s^2 / m with s^2 = 1/64 at the base width; eta / m; decay * m, so eta lambda stays
    "hidden": Rule(init_std=1 / 16, learning_rate=1 / 4, weight_decay=4, epsilon=1 / 4),
    # variance s^2 of the base width, multiplier 1 / m, eta
    "readout": Rule(init_std=1 / 8, multiplier=1 / 4, epsilon=1 / 4),
    "gain": replace(VECTOR, epsilon=1 / 4),
    "bias": replace(VECTOR, epsilon=1 / 4),
}


@pytest.mark.parametrize("role", WEIGHTS)
def test_sp_row(role: Role) -> None:
    assert SP.rule(WEIGHTS[role], WIDTH) == SP_ROWS[role]


@pytest.mark.parametrize("role", WEIGHTS)
def test_mup_row(role: Role) -> None:
    assert MUP.rule(WEIGHTS[role], WIDTH) == MUP_ROWS[role]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_total(name: Name) -> None:
    assert set(TABLES[name]) == set(WEIGHTS)


def test_fans_are_products_over_the_letters_of_each_side() -> None:
    out = Weight("attention/out", "hidden", "hk->d", (4, 16, 48), stacked=3)
    assert (out.fan_in, out.fan_out, out.size) == (64, 48, 3 * 64 * 48)
    assert SP.rule(out, 48).init_std == 1 / 8


def test_every_gradient_of_mup_shrinks_as_its_epsilon() -> None:
    """Root mean squares at initialisation, width 32 to 256: m^-1, as Adam's epsilon must."""

    def gradients(width: int) -> Any:
        spec = Spec(_model(width, biases="all", embeddings="untied"), Parametrization("mup", 32, 8))
        windows = jax.random.randint(jax.random.key(1), (8, 17), 0, 32)

        @quick_jit
        def sizes(key: jax.Array) -> Any:
            grads = jax.grad(partial(loss, spec))(init(spec, 16, key), windows)
            return jax.tree.map(lambda g: jnp.sqrt(jnp.square(g).mean()), grads)

        return sizes(jax.random.key(0))

    ratios = jax.tree.map(lambda wide, base: float(base / wide), gradients(256), gradients(32))
    for path, ratio in jax.tree_util.tree_leaves_with_path(ratios):
        # m = 8; a key bias moves the scores of a query nearly alike, what is left is noise
        assert ratio > 4 or "key_bias" in str(path), path


def test_the_two_published_readouts_are_one() -> None:
    """Multiplier 1/m, variance s^2, eta  ==  no multiplier, variance ~ 1/d^2, eta / m."""
    base = MUP.rule(replace(WEIGHTS["readout"], shape=(64, 50)), 64)
    wide = MUP.rule(WEIGHTS["readout"], WIDTH)
    assert wide.multiplier * wide.init_std == base.init_std / 4
    assert wide.multiplier * wide.learning_rate == base.learning_rate / 4


def test_coupled_decay_of_hidden_matrices_is_the_same_at_every_width() -> None:
    rule = MUP.rule(WEIGHTS["hidden"], WIDTH)
    assert rule.learning_rate * rule.weight_decay == 1


def test_the_tied_readout_is_multiplied_in_mup_alone() -> None:
    assert MUP.tied_readout_multiplier(WIDTH) == 1 / 4
    assert SP.tied_readout_multiplier(WIDTH) == 1


def test_attention_scales_meet_at_the_base_head_size() -> None:
    assert MUP.attention_scale(16) == SP.attention_scale(16) == 1 / 4
    assert (MUP.attention_scale(64), SP.attention_scale(64)) == (1 / 16, 1 / 8)


def _model(width: int, **changes: Any) -> TransformerConfig:
    shape = {"layers": 1, "width": width, "heads": width // 8, "kv_heads": width // 8}
    return TransformerConfig(
        **{**shape, "head_dim": 8, "ffn": 4 * width, "vocab_size": 32, **changes}
    )


@pytest.mark.parametrize("embeddings", ["tied", "untied"])
def test_mup_is_sp_at_the_base_width(embeddings: Any) -> None:
    config = _model(16, embeddings=embeddings)
    specs = [Spec(config, Parametrization(name, 16, 8)) for name in ("sp", "mup")]
    tables = [
        jax.tree.map(
            lambda w, s=spec: s.parametrization.rule(w, 16),
            weights(spec, 4),
            is_leaf=lambda x: isinstance(x, Weight),
        )
        for spec in specs
    ]
    assert tables[0] == tables[1]
    tokens = jnp.arange(8).reshape(2, 4)
    params = quick_jit(partial(init, specs[0], 4))(jax.random.key(0))
    sp, mup = (quick_jit(partial(apply, spec))(params, tokens) for spec in specs)
    np.testing.assert_array_equal(sp, mup)


def test_tied_logits_of_a_wider_mup_model_are_divided_by_m() -> None:
    config = _model(32)
    sp, mup = (Spec(config, Parametrization(name, 8, 8)) for name in ("sp", "mup"))
    params, tokens = quick_jit(partial(init, sp, 4))(jax.random.key(0)), jnp.arange(8).reshape(2, 4)
    logits = [quick_jit(partial(apply, spec))(params, tokens) for spec in (sp, mup)]
    np.testing.assert_allclose(logits[1] * 4, logits[0], rtol=1e-5)


def test_an_unknown_parametrization_is_refused() -> None:
    with pytest.raises(UserError, match=r"^parametrization\.name=mu: did you mean 'mup'\?$"):
        Parametrization("mu")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["base_width", "base_head_dim"])
def test_a_base_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"^parametrization\.{name}=0: must be at least 1$"):
        Parametrization(**{name: 0})


def _logit_change(name: Name, width: int) -> float:
    """Mean |logits after 5 steps - logits before| on the batch that was trained on."""
    science = Science(
        model=_model(width, embeddings="untied"),
        parametrization=Parametrization(name, 32, 8),
        optimizer=OptimizerConfig(learning_rate=3e-3, weight_decay=0),
        schedule=ScheduleConfig(name="constant", warmup_fraction=0),
        batch=BatchConfig(sequences=4, seq_len=16),
    )
    made, leaves = recipe(RunConfig(science)), hypers(science)

    def change(batches: jax.Array) -> jax.Array:
        before = init_state(made, leaves)
        after, _ = train_chunk(made, before, leaves, batches)
        logits = partial(apply, made.spec, tokens=batches[0, :, :-1])
        return jnp.abs(logits(after.params) - logits(before.params)).mean()

    batch = jax.random.randint(jax.random.key(0), (1, 4, 17), 0, 32)
    return float(quick_jit(change)(jnp.repeat(batch, 5, axis=0)))


@pytest.mark.slow
def test_logits_move_alike_at_every_width_in_mup_and_not_in_sp() -> None:
    """Measured: -0.13 and 0.47; narrower models of this batch add their own noise to the slope."""
    widths = (128, 512)

    def slope(name: Name) -> float:
        changes = [_logit_change(name, width) for width in widths]
        return float(np.polyfit(np.log(widths), np.log(changes), 1)[0])

    assert abs(slope("mup")) < 0.2
    assert slope("sp") > 0.3
