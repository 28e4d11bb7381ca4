"""The tables against the published ones, row by row; m = 256 / 64 = 4, r = 6 / 2 = 3."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config.run import Science
from experiments.training.objective import loss
from models.config import TransformerConfig
from models.module import Spec
from models.transformer import apply, init, weights
from scaling.common.errors import UserError
from scaling.parametrization.parametrization import Parametrization, RolePowers
from scaling.parametrization.tables import EMBEDDING_STD, TABLES, Family, Name, Rule
from scaling.parametrization.weight import Role, Weight

WIDTH = 256
SHAPE = TransformerConfig(width=WIDTH, layers=6)
NAMES = tuple(TABLES)
WEIGHTS: dict[Role, Weight] = {
    "embedding": Weight("embedding", "embedding", "v->d", (50, WIDTH)),
    "position": Weight("position", "position", "t->d", (32, WIDTH)),
    "query": Weight("blocks/attention/query", "query", "d->hk", (WIDTH, 8, 32), stacked=6),
    "hidden": Weight("blocks/mlp/in", "hidden", "d->f", (WIDTH, 1024), stacked=6),
    "readout": Weight("readout", "readout", "d->v", (WIDTH, 50)),
    "router": Weight("blocks/router", "router", "d->e", (WIDTH, 8)),
    "fixed": Weight("blocks/mlp/residual", "fixed", "r->r", (4, 4), stacked=6),
    "taps": Weight("blocks/gated_delta/query_taps", "taps", "c->hk", (4, 8, 32), stacked=6),
    "gain": Weight("final_norm/gain", "gain", "->d", (WIDTH,)),
    "bias": Weight("blocks/mlp/in_bias", "bias", "->f", (1024,), stacked=6),
}


def table(name: Name, **changes: Any) -> Parametrization:
    return Parametrization(name, base_width=64, base_head_dim=16, base_layers=2, **changes)


SP, MUP = table("sp"), table("mup")
EMBEDDING, MATRIX = Rule(EMBEDDING_STD), Rule(1 / 16)  # variance 1 / fan_in
VECTOR = Rule(init_std=0.0, weight_decay=0)
# variance s^2 / m with s^2 = 1/64 at the base width; eta / m; decay * m, so eta lambda stays
MUP_HIDDEN = Rule(1 / 16, learning_rate=1 / 4, weight_decay=4, epsilon=1 / 4)
# (embedding, hidden, readout, final norm's gain, bias within a block); m = 4, r = 3
ROWS: dict[Name, tuple[Rule, Rule, Rule, Rule, Rule]] = {
    "sp": (EMBEDDING, MATRIX, MATRIX, VECTOR, VECTOR),
    "mup": (
        replace(EMBEDDING, epsilon=1 / 4),
        MUP_HIDDEN,
        # variance s^2 of the base width, multiplier 1 / m, eta
        Rule(1 / 8, multiplier=1 / 4, epsilon=1 / 4),
        replace(VECTOR, epsilon=1 / 4),
        replace(VECTOR, epsilon=1 / 4),
    ),
    "mup_variance": (
        replace(EMBEDDING, epsilon=1 / 4),
        MUP_HIDDEN,
        Rule(1 / 32, learning_rate=1 / 4, weight_decay=4),
        replace(VECTOR, epsilon=1 / 4),
        replace(VECTOR, epsilon=1 / 4),
    ),
    "lingle_relative": (
        Rule(1.0),
        replace(MATRIX, learning_rate=1 / 4),
        Rule(1 / 256, learning_rate=1 / 4),  # variance 1 / d^2
        VECTOR,
        VECTOR,
    ),
    "lingle_absolute": (
        Rule(1.0),
        replace(MATRIX, learning_rate=1 / 256),
        Rule(1 / 256, learning_rate=1 / 256),
        VECTOR,
        VECTOR,
    ),
    "umup": (
        Rule(1.0, learning_rate=1 / 16),  # d^-1/2
        Rule(1.0, multiplier=1 / 16, learning_rate=1 / 16 * 6**-0.5),
        Rule(1.0, multiplier=1 / 256),
        VECTOR,
        replace(VECTOR, learning_rate=6**-0.5),
    ),
    "depth_mup": (
        replace(EMBEDDING, epsilon=1 / 4),
        replace(MUP_HIDDEN, learning_rate=3**-0.5 / 4, epsilon=3**-0.5 / 4),
        Rule(1 / 8, multiplier=1 / 4, epsilon=1 / 4),
        replace(VECTOR, epsilon=1 / 4),
        replace(VECTOR, learning_rate=3**-0.5, epsilon=3**-0.5 / 4),
    ),
    "completep": (
        replace(EMBEDDING, epsilon=1 / 4),
        replace(MUP_HIDDEN, epsilon=1 / 12),
        Rule(1 / 8, multiplier=1 / 4, epsilon=1 / 4),
        replace(VECTOR, epsilon=1 / 4),
        replace(VECTOR, epsilon=1 / 12),
    ),
    "ntk": (
        replace(EMBEDDING, epsilon=1 / 2),
        Rule(1 / 8, multiplier=1 / 2, learning_rate=1 / 2, weight_decay=2, epsilon=1 / 4),
        Rule(1 / 8, multiplier=1 / 2, learning_rate=1 / 2, weight_decay=2, epsilon=1 / 2),
        replace(VECTOR, epsilon=1 / 2),
        replace(VECTOR, epsilon=1 / 2),
    ),
    "mean_field": (
        replace(EMBEDDING, epsilon=1 / 4),
        Rule(1 / 8, multiplier=1 / 2, learning_rate=1 / 2, weight_decay=2, epsilon=1 / 8),
        Rule(1 / 8, multiplier=1 / 4, epsilon=1 / 4),
        replace(VECTOR, epsilon=1 / 4),
        replace(VECTOR, epsilon=1 / 4),
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_rows(name: Name) -> None:
    embedding, hidden, readout, gain, bias = ROWS[name]
    expected = {
        "embedding": embedding,
        "position": embedding,
        "query": hidden,
        "hidden": hidden,
        "readout": readout,
        "router": readout,
        "fixed": Rule(1 / 2),
        "taps": replace(bias, init_std=4**-0.5),
        "gain": gain,
        "bias": bias,
    }
    for role, weight in WEIGHTS.items():
        rule = dataclasses.asdict(table(name).rule(weight, SHAPE))
        assert rule == pytest.approx(dataclasses.asdict(expected[role])), role


@pytest.mark.parametrize("name", NAMES)
def test_every_table_is_total(name: Name) -> None:
    assert set(TABLES[name].rows) == set(WEIGHTS) == set(get_args(Role))


# microsoft/mup for SGD: what has one dimension that grows moves m times as fast, matrices as before
SGD_RATES: dict[Name, tuple[float, float, float]] = {  # embedding, hidden, readout
    "sp": (1, 1, 1),
    "mup": (4, 1, 4),
    "mup_variance": (4, 1, 1 / 4),
    "ntk": (2, 2, 1),
    "mean_field": (4, 4, 4),
    "depth_mup": (4, 1, 4),  # Yang et al. 2023: SGD's rate needs no depth rule at alpha = 1/2
    "completep": (4, 3, 4),
}


@pytest.mark.parametrize("name", SGD_RATES)
def test_rates_of_the_raw_gradient(name: Name) -> None:
    for role, rate in zip(("embedding", "hidden", "readout"), SGD_RATES[name], strict=True):
        adam, sgd = (
            table(name).rule(WEIGHTS[role], SHAPE, family) for family in ("normalised", "gradient")
        )
        assert sgd.learning_rate == pytest.approx(rate)
        assert (sgd.init_std, sgd.multiplier) == (adam.init_std, adam.multiplier)
        shrinks = sgd.learning_rate * sgd.weight_decay
        assert shrinks == pytest.approx(adam.learning_rate * adam.weight_decay)


@pytest.mark.parametrize("name", SGD_RATES)
def test_rate_of_an_orthogonal_update_grows_with_the_root_of_the_width_over_adams(
    name: Name,
) -> None:
    """The width is four times the base's: w moves by multiplier * rate * sqrt(m) = 1 everywhere."""
    adam, muon = (
        table(name).rule(WEIGHTS["hidden"], SHAPE, family)
        for family in ("normalised", "orthogonal")
    )
    assert muon.learning_rate == pytest.approx(adam.learning_rate * (1 if name == "sp" else 2))
    if name in ("mup", "mup_variance", "ntk", "mean_field"):
        assert muon.multiplier * muon.learning_rate * 4**0.5 == pytest.approx(1)
    shrinks = muon.learning_rate * muon.weight_decay
    assert shrinks == pytest.approx(adam.learning_rate * adam.weight_decay)
    assert (muon.init_std, muon.multiplier) == (adam.init_std, adam.multiplier)


@pytest.mark.parametrize("family", ["gradient", "orthogonal"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in SGD_RATES])
def test_a_family_without_a_rule_is_refused(name: Name, family: Family) -> None:
    message = (
        rf"^parametrization\.name={name}: no rule for an optimizer of {family} .* of sp, mup, "
    )
    with pytest.raises(UserError, match=message):
        table(name).check(family, "untied")


@pytest.mark.parametrize("name", ["ntk", "lingle_relative", "lingle_absolute"])
def test_a_tied_readout_without_a_rule_is_refused(name: Name) -> None:
    with pytest.raises(UserError, match=r"set model\.embeddings=untied$"):
        Science(parametrization=table(name))
    Science(TransformerConfig(embeddings="untied"), table(name))


def test_a_tied_readout_cannot_start_at_zero() -> None:
    with pytest.raises(UserError, match=r"^parametrization\.zero_init=both: a tied readout is"):
        Science(parametrization=table("mup", zero_init="both"))
    Science(parametrization=table("mup", zero_init="query"))


def test_zero_init_is_of_the_named_weights_alone() -> None:
    for choice, zero in {
        "query": {"query"},
        "readout": {"readout"},
        "both": {"query", "readout"},
    }.items():
        chosen = table("mup", zero_init=choice)
        for role, weight in WEIGHTS.items():
            expected = MUP.rule(weight, SHAPE)
            if role in zero:
                expected = replace(expected, init_std=0.0)
            assert chosen.rule(weight, SHAPE) == expected


def test_powers_multiply_the_rates_and_inits_of_their_role_alone() -> None:
    """SP with the rates of Everett et al. 2024 under full alignment; muP with SP's."""
    everett = table("sp", learning_rate_powers=RolePowers(hidden=-1.0, readout=-0.5))
    rates = {role: everett.rule(weight, SHAPE).learning_rate for role, weight in WEIGHTS.items()}
    assert rates == dict.fromkeys(WEIGHTS, 1.0) | {
        "query": 1 / 4,
        "hidden": 1 / 4,
        "readout": 1 / 2,
    }
    undone = table("mup", learning_rate_powers=RolePowers(hidden=1.0, embedding=0.5))
    assert undone.rule(WEIGHTS["hidden"], SHAPE) == replace(MUP_HIDDEN, learning_rate=1.0)
    assert undone.rule(WEIGHTS["position"], SHAPE).learning_rate == 2
    sp, readout = table("sp").rule(WEIGHTS["readout"], SHAPE), WEIGHTS["readout"]
    like_sp = table("mup", init_powers=RolePowers(readout=0.5)).rule(readout, SHAPE)
    assert like_sp.init_std * like_sp.multiplier == pytest.approx(sp.init_std)
    with pytest.raises(UserError, match=r"init_powers\.gain=nan: must be finite"):
        table("sp", init_powers=RolePowers(gain=math.nan))
    with pytest.raises(UserError, match=r"learning_rate_powers\.bias=inf: must be finite"):
        table("sp", learning_rate_powers=RolePowers(bias=math.inf))


def test_fans_are_products_over_the_letters_of_each_side() -> None:
    out = Weight("attention/out", "hidden", "hk->d", (4, 16, 48), stacked=3)
    assert (out.fan_in, out.fan_out, out.size) == (64, 48, 3 * 64 * 48)
    experts = Weight("blocks/mlp/experts/in", "hidden", "e,d->f", (4, 64, 48), stacked=3)
    assert (experts.fan_in, experts.fan_out, experts.copies) == (64, 48, 4)
    assert experts.size == 3 * 4 * 64 * 48
    assert SP.rule(out, TransformerConfig(width=48)).init_std == 1 / 8


def test_every_gradient_of_mup_shrinks_as_its_epsilon() -> None:
    """Root mean squares at initialisation, width 32 to 256: m^-1, as Adam's epsilon must."""

    def gradients(width: int) -> Any:
        model = _model(width, biases="all", embeddings="untied")
        spec = Spec(model, Parametrization("mup", 32, 8))
        windows = jax.random.randint(jax.random.key(1), (8, 17), 0, 32)

        @jax.jit
        def sizes(key: jax.Array) -> Any:
            grads = jax.grad(partial(loss, spec))(init(spec, 16, key), windows)
            return jax.tree.map(lambda g: jnp.sqrt(jnp.square(g).mean()), grads)

        return sizes(jax.random.key(0))

    ratios = jax.tree.map(lambda wide, base: float(base / wide), gradients(256), gradients(32))
    for path, ratio in jax.tree_util.tree_leaves_with_path(ratios):
        # m = 8; a key bias moves the scores of a query nearly alike, what is left is noise
        assert ratio > 4 or "key_bias" in str(path), path


def test_coupled_decay_of_hidden_matrices_is_the_same_at_every_width() -> None:
    rule = MUP.rule(WEIGHTS["hidden"], SHAPE)
    assert rule.learning_rate * rule.weight_decay == 1


def test_the_tied_readout_is_multiplied_in_mup_alone() -> None:
    assert MUP.tied_readout_factor(SHAPE) == 1 / 4
    assert SP.tied_readout_factor(SHAPE) == 1
    assert table("umup").tied_readout_factor(SHAPE) == 1 / 256


def test_branches_are_weighed_by_the_tables_with_a_depth_rule() -> None:
    factors = {name: table(name).residual_factor(SHAPE) for name in NAMES}
    deep = {"completep": 1 / 3, "depth_mup": 3**-0.5, "umup": 6**-0.5}
    assert factors == pytest.approx(dict.fromkeys(NAMES, 1.0) | deep)


def test_attention_scales_meet_at_the_base_head_size() -> None:
    assert MUP.attention_factor(16) == SP.attention_factor(16) == 1 / 4
    assert (MUP.attention_factor(64), SP.attention_factor(64)) == (1 / 16, 1 / 8)
    assert table("umup").attention_factor(64) == table("lingle_absolute").attention_factor(64)
    assert table("umup").attention_factor(64) == 1 / 64


def test_the_attention_scale_can_be_forced() -> None:
    for name in NAMES:
        assert table(name, attention_scale="1/sqrt(d)").attention_factor(64) == 1 / 8
        assert table(name, attention_scale="1/d").attention_factor(64) == 1 / 64


def _model(width: int, **changes: Any) -> TransformerConfig:
    shape = {"layers": 1, "width": width, "heads": width // 8, "kv_heads": width // 8}
    return TransformerConfig(
        **{**shape, "head_dim": 8, "ffn": 4 * width, "vocab_size": 32, **changes}
    )


RELATIVE = ("mup", "mup_variance", "depth_mup", "completep", "mean_field", "ntk")


@pytest.mark.parametrize("embeddings", ["tied", "untied"])
@pytest.mark.parametrize("name", RELATIVE)
def test_relative_tables_are_sp_at_the_base_shape(name: Name, embeddings: Any) -> None:
    if TABLES[name].tied is None and embeddings == "tied":
        return
    config = _model(16, embeddings=embeddings)
    specs = [Spec(config, Parametrization(each, 16, 8, 1)) for each in ("sp", name)]
    tables = [
        jax.tree.map(
            lambda w, s=spec: s.parametrization.rule(w, s.config),
            weights(spec, 4),
            is_leaf=lambda x: isinstance(x, Weight),
        )
        for spec in specs
    ]
    assert tables[0] == tables[1]
    factors = [
        (
            p.attention_factor(8),
            p.residual_factor(config),
            embeddings == "untied" or p.tied_readout_factor(config),
        )
        for p in (spec.parametrization for spec in specs)
    ]
    assert factors[0] == factors[1]


def test_tied_logits_of_a_wider_mup_model_are_divided_by_m() -> None:
    config = _model(32)
    sp, mup = (Spec(config, Parametrization(name, 8, 8)) for name in ("sp", "mup"))
    params, tokens = jax.jit(partial(init, sp, 4))(jax.random.key(0)), jnp.arange(8).reshape(2, 4)
    logits = [jax.jit(partial(apply, spec))(params, tokens) for spec in (sp, mup)]
    np.testing.assert_allclose(logits[1] * 4, logits[0], rtol=1e-5)


def test_an_unknown_parametrization_is_refused() -> None:
    with pytest.raises(UserError, match=r"^parametrization\.name=mu: did you mean 'mup'\?$"):
        Parametrization("mu")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["base_width", "base_head_dim", "base_layers"])
def test_a_base_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"^parametrization\.{name}=0: must be at least 1, and"):
        Parametrization(**{name: 0})


@pytest.mark.parametrize(("base_ffn", "factor"), [(0, 1 / 4), (32, 1)])
def test_rates_go_by_the_side_that_grows(base_ffn: int, factor: float) -> None:
    """Four times the width, and an ffn of 32: as at the base, mlp/out reads 32 numbers."""
    table = Parametrization("mup", base_width=16, base_ffn=base_ffn)
    spec = Spec(_model(64, ffn=32), table)
    leaves = jax.tree.leaves(weights(spec, 4), is_leaf=lambda x: isinstance(x, Weight))
    rates = {w.path: table.rule(w, spec.config).learning_rate for w in leaves}
    (inputs,) = (rate for path, rate in rates.items() if path.endswith("mlp/in"))
    (outputs,) = (rate for path, rate in rates.items() if path.endswith("mlp/out"))
    assert (inputs, outputs) == (pytest.approx(1 / 4), pytest.approx(factor))


NARROW = ("mup", "mup_variance", "lingle_relative", "depth_mup", "completep", "mean_field")


@pytest.mark.parametrize("name", NAMES)
def test_a_matrix_of_few_outputs_starts_smaller_where_features_are_kept(name: Name) -> None:
    """d -> one number of each of 4 heads, at four times the width: 1 / m, not 1 / sqrt(m)."""
    weight = Weight("gated_delta/beta", "hidden", "d->h", (WIDTH, 4))
    larger = TransformerConfig(width=WIDTH, layers=2, heads=4, head_dim=64)
    more = replace(larger, heads=16, kv_heads=16, head_dim=16)
    full = replace(weight, shape=(WIDTH, 16))
    found, usual = (
        rule.init_std * rule.multiplier
        for rule in (table(name).rule(weight, larger), table(name).rule(full, more))
    )
    assert found == pytest.approx(usual / 2 if name in NARROW else usual)
    assert table(name).narrows(weight, larger) == (name in NARROW)
    assert not table(name).narrows(full, more)


def test_a_side_of_more_outputs_changes_nothing() -> None:
    """d -> f of 4 d at the base and of d here, and from a rank of 8."""
    wide = Weight("mlp/in", "hidden", "d->f", (WIDTH, 256))
    fixed = table("mup", base_ffn=256)
    shape = TransformerConfig(width=WIDTH, layers=2, ffn=256)
    assert fixed.rule(wide, shape).init_std == 1 / 16
    down = Weight("attention/out_down", "hidden", "hk->l", (8, 32, 8))
    assert MUP.rule(down, shape).init_std == pytest.approx(1 / 32)
