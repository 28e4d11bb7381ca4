from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

import by_hand
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.training.objective import loss
from models.config import TransformerConfig
from models.module import Spec
from models.transformer import apply, init
from scaling.parametrization.parametrization import Parametrization

CONFIG = TransformerConfig(
    layers=1, width=8, heads=4, kv_heads=4, head_dim=4, ffn=12, vocab_size=11
)
WINDOWS = jax.random.randint(jax.random.key(1), (2, 7), 0, 11)
CONTEXT = 6
ELSEWHERE = ("quantized", "weights", "recursion")  # test_dense.py, routers/test_recursion.py
VALUES = {
    name: [value for value in get_args(kind) if value != getattr(CONFIG, name)]
    for name, kind in get_type_hints(TransformerConfig).items()
    if get_origin(kind) is Literal and name not in ELSEWHERE
}
APART = ("sharing", "norms")  # not every value goes with every other choice
PACKS = max(map(len, VALUES.values()))
# Every value of every choice, in as few models as the longest choice has values; each choice
# begins with another model
CHOICES: dict[str, dict[str, Any]] = {"default": {}} | {
    f"values {pack}": {
        name: values[k]
        for i, (name, values) in enumerate(VALUES.items())
        for k in range(len(values))
        if (i + k) % PACKS == pack and name not in APART
    }
    for pack in range(PACKS)
}
CHOICES |= {
    "experts": {"experts": 4},
    "cycle": {"layers": 2, "sharing": "cycle", "norms": "peri", "experts": 4},
    "middle cycle": {"layers": 4, "sharing": "middle_cycle", "block": "parallel"},
    "cycle but norms": {
        "layers": 2,
        "sharing": "cycle_but_norms",
        "norm": "layernorm",
        "biases": "all",
    },
    "few slots": {
        "experts": 3,
        "experts_active": 1,
        "capacity_factor": 0.5,
        "biases": "all",
        "mlp": "swiglu",
        "block": "parallel",
        "kv_heads": 1,
    },
    "most": {
        "positions": "learned",
        "norm": "layernorm",
        "gains": "scalar",
        "biases": "all",
        "mlp": "swiglu",
        "qk_norm": "rmsnorm",
        "embeddings": "untied",
        "embedding_norm": "rmsnorm",
        "block": "parallel",
        "kv_heads": 2,
    },
}


def test_every_value_of_every_choice_has_a_model() -> None:
    asked = {(name, value) for choice in CHOICES.values() for name, value in choice.items()}
    assert {(name, value) for name, values in VALUES.items() for value in values} <= asked


@cache
def _params(spec: Spec) -> Any:
    return jax.jit(partial(init, spec, CONTEXT))(jax.random.key(0))


def _rough(params: Any) -> Any:
    """Away from the gains of one and the biases of zero, that each of them is seen to act."""
    return jax.tree.map(
        lambda x: x + 0.2 * jnp.cos(1.0 + jnp.arange(x.size)).reshape(x.shape), params
    )


SLOW = ("middle cycle", "cycle but norms")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CHOICES]
)
def test_every_choice_is_its_formula_and_every_weight_of_it_has_a_gradient(name: str) -> None:
    table = Parametrization("completep", base_width=4, base_head_dim=2, base_layers=3)
    spec = Spec(replace(CONFIG, **CHOICES[name]), table)

    @jax.jit
    def program(key: jax.Array) -> Any:
        params = _rough(init(spec, CONTEXT, key))
        return (
            params,
            apply(spec, params, WINDOWS[:, :-1]),
            jax.grad(partial(loss, spec))(params, WINDOWS),
        )

    params, logits, grads = jax.device_get(program(jax.random.key(0)))
    exact = jax.tree.map(np.float64, params)
    for tokens, row in zip(np.asarray(WINDOWS[:, :-1]), logits, strict=True):
        expected = by_hand.logits(spec.config, table, exact, tokens)
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-5)
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        assert np.isfinite(grad).all(), path
        # a bias of all keys moves every score of a query alike, so unrotated it does nothing
        assert np.abs(grad).max() > 0 or "key_bias" in str(path), path


@pytest.mark.parametrize("positions", ["rope", "learned", "none"])
def test_a_changed_future_token_changes_nothing_before_it(positions: Any) -> None:
    spec = Spec(replace(CONFIG, positions=positions))
    run = jax.jit(partial(apply, spec, _params(spec)))
    tokens = WINDOWS[:, :-1]
    now, other = run(tokens), run(tokens.at[:, 4].set((tokens[:, 4] + 1) % 11))
    np.testing.assert_array_equal(now[:, :4], other[:, :4])
    assert np.abs(now - other)[:, 4:].max(axis=(0, 2)).min() > 0


def test_without_positions_the_past_is_a_set() -> None:
    spec = Spec(replace(CONFIG, positions="none"))
    run = jax.jit(partial(apply, spec, _params(spec)))
    tokens = WINDOWS[:, :-1]
    swapped = tokens.at[:, 0].set(tokens[:, 1]).at[:, 1].set(tokens[:, 0])
    np.testing.assert_allclose(run(tokens)[:, 2:], run(swapped)[:, 2:], atol=1e-5)


def test_grouped_queries_are_multi_head_with_repeated_weights() -> None:
    grouped, full = Spec(replace(CONFIG, kv_heads=2)), Spec(CONFIG)
    params = _params(grouped)
    copy = jax.tree.map(jax.device_get, params)
    for name in ("key", "value"):
        weight = copy["blocks_0"]["attention"][name]
        copy["blocks_0"]["attention"][name] = np.repeat(weight, 2, axis=1)
    logits = [
        jax.jit(partial(apply, spec))(weights, WINDOWS[:, :-1])
        for spec, weights in ((grouped, params), (full, copy))
    ]
    np.testing.assert_allclose(*logits, rtol=1e-5, atol=1e-6)


def test_bfloat16_computes_in_halves_and_keeps_parameters_whole() -> None:
    spec = Spec(CONFIG, compute="bfloat16")
    params = _params(spec)
    value, grads = jax.jit(jax.value_and_grad(partial(loss, spec)))(params, WINDOWS)
    exact = jax.jit(partial(loss, Spec(CONFIG)))(params, WINDOWS)
    assert {x.dtype for x in jax.tree.leaves((params, grads, value))} == {jnp.dtype("float32")}
    assert 0 < abs(float(value) - float(exact)) < 0.02
    program = jax.jit(partial(apply, spec)).lower(params, WINDOWS[:, :-1]).as_text()
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert products
    operands = [line.rpartition(" : ")[2].partition(" -> ")[0] for line in products]
    assert all(pair.count("xbf16>") == 2 for pair in operands)


def test_a_spec_is_a_key() -> None:
    assert len({Spec(), Spec(), Spec(parametrization=Parametrization("mup"))}) == 2


def test_params_are_plain_nested_dicts() -> None:
    def plain(tree: Any) -> bool:
        return isinstance(tree, jax.Array) or (
            type(tree) is dict and all(plain(branch) for branch in tree.values())
        )

    assert plain(_params(Spec(CONFIG)))
