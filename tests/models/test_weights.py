from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import Array

from models.config import TransformerConfig
from models.module import Spec
from models.transformer import weights
from models.weights import describe, initialise, make_weight
from scaling.machines.program import PLAIN
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.tables import TABLES
from scaling.parametrization.weight import Weight

SP = Parametrization()
CONFIG = TransformerConfig(
    layers=3, width=8, heads=2, kv_heads=1, head_dim=4, ffn=12, vocab_size=11
)
SHAPE = TransformerConfig(width=4, heads=1, kv_heads=1)


def _leaves(tree: Any) -> list[Weight]:
    return jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, Weight))


class _Digits(nn.Module):
    """Weights and modules whose names end in digits, none of them layers."""

    @nn.compact
    def __call__(self) -> Array:
        sizes = {"d": 4}
        for child in (_Leaf(name="part_0"), _Leaf(name="part_1")):
            child()
        return make_weight(
            self, "table_2", "hidden", "d->d", sizes, model=SHAPE, parametrization=SP
        )


class _Leaf(nn.Module):
    @nn.compact
    def __call__(self) -> Array:
        return make_weight(self, "in", "hidden", "d->d", {"d": 4}, model=SHAPE, parametrization=SP)


class _Untagged(nn.Module):
    @nn.compact
    def __call__(self) -> Array:
        return self.param("secret", nn.initializers.zeros, (3,))


@pytest.mark.parametrize("remat", ["none", "block"])
@pytest.mark.parametrize("layout", ["scan", "unrolled"])
def test_every_weight_is_described(layout: Any, remat: Any) -> None:
    spec = Spec(CONFIG, SP, replace(PLAIN, layers=layout, remat=remat))
    described = {(w.path, w.layer): w for w in _leaves(weights(spec, 5))}
    layers = (None,) if layout == "scan" else (0, 1, 2)
    block = ("attention/key", "attention/out", "attention/query", "attention/value")
    block += ("attention_norm/gain", "mlp/in", "mlp/out", "mlp_norm/gain")
    expected = {("embedding", None), ("final_norm/gain", None)}
    expected |= {(f"blocks/{name}", layer) for name in block for layer in layers}
    assert set(described) == expected
    query = described["blocks/attention/query", layers[0]]
    assert (query.role, query.letters, query.shape) == ("query", "d->hk", (8, 2, 4))
    assert query.stacked == (3 if layout == "scan" else 0)


@pytest.mark.parametrize("name", TABLES)
def test_rules_are_the_same_for_scanned_and_unrolled_layers(name: Any) -> None:
    table = Parametrization(name, base_width=4, base_head_dim=2, base_layers=2)
    config = replace(CONFIG, embeddings="untied", biases="all")

    def rules(layout: Any) -> set[tuple[str, Any]]:
        spec = Spec(config, table, replace(PLAIN, layers=layout))
        return {(w.path, table.rule(w, config)) for w in _leaves(weights(spec, 5))}

    assert rules("scan") == rules("unrolled")


def test_digits_in_other_names_are_no_layers() -> None:
    found = _leaves(describe(_Digits().init))
    assert {(w.path, w.layer) for w in found} == {
        ("part_0/in", None),
        ("part_1/in", None),
        ("table_2", None),
    }


def test_weights_of_one_shape_are_drawn_apart() -> None:
    values = jax.tree.leaves(initialise(describe(_Digits().init), SP, SHAPE, jax.random.key(0)))
    assert all(np.abs(a - b).max() > 0.1 for a, b in pairwise(values))


def test_an_untagged_weight_is_an_error() -> None:
    with pytest.raises(TypeError, match="weight secret was not made by make_weight"):
        describe(_Untagged().init)


def _tree(spec: Spec, seed: int = 0, init_scale: float = 1.0) -> Any:
    tree = weights(spec, 5)
    key = jax.random.key(seed)
    return jax.jit(lambda s: initialise(tree, spec.parametrization, spec.config, key, s))(
        init_scale
    )


def test_init_has_the_spread_of_its_rule() -> None:
    wide = TransformerConfig(
        layers=1, width=64, heads=4, kv_heads=4, head_dim=16, ffn=256, embeddings="untied"
    )
    spec = Spec(wide, Parametrization("mup", base_width=16))
    table = _leaves(weights(spec, 5))
    for weight, value in zip(table, jax.tree.leaves(_tree(spec, init_scale=2.0)), strict=True):
        if weight.role == "gain":
            np.testing.assert_array_equal(value, 1)
            continue
        expected = 2 * spec.parametrization.rule(weight, wide).init_std
        assert float(value.std()) == pytest.approx(expected, rel=5 / weight.size**0.5), weight
        assert abs(float(value.mean())) < 5 * expected / weight.size**0.5, weight


def test_biases_start_at_zero() -> None:
    biased = TransformerConfig(layers=1, width=8, heads=1, kv_heads=1, head_dim=8, biases="all")
    params = _tree(Spec(biased, SP))
    np.testing.assert_array_equal(params["blocks_0"]["mlp"]["in_bias"], jnp.zeros(256))


def test_another_seed_is_another_draw() -> None:
    spec = Spec(CONFIG, SP, replace(PLAIN, layers="scan"))
    first, second = _tree(spec), _tree(spec, seed=1)
    assert np.abs(first["embedding"] - second["embedding"]).min() > 0


def test_a_multiplier_acts_in_the_forward_pass() -> None:
    class Readout(nn.Module):
        @nn.compact
        def __call__(self) -> Array:
            mup = Parametrization("mup", base_width=1)
            sizes = {"d": 4, "v": 3}
            return make_weight(
                self, "w", "readout", "d->v", sizes, model=SHAPE, parametrization=mup
            )

    stored = {"params": {"w": jnp.ones((4, 3))}}
    np.testing.assert_array_equal(Readout().apply(stored), jnp.full((4, 3), 1 / 4))
