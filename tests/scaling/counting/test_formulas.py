"""The triple entry: formulas, described weights and traced programs give the same numbers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any, Literal, get_args, get_origin, get_type_hints

import jax
import jax.numpy as jnp
import pytest

from experiments.config.run import BatchConfig, Execution, RunConfig, Science
from experiments.training.step import gradients, recipe
from models.config import TransformerConfig
from models.module import Spec
from models.transformer import apply, init, weights
from scaling.counting import formulas
from scaling.counting.formulas import FLOPS_PER_TOKEN, count, ledger
from scaling.counting.traced_flops import matmul_flops
from scaling.machines.program import PLAIN, Program
from scaling.parametrization.weight import Weight

CONTEXT = 6
SMALL = TransformerConfig(layers=2, width=8, heads=4, kv_heads=4, head_dim=4, ffn=12, vocab_size=11)

# Kept by hand: 1 layer. query 4*4, key and value 4*2 each, out 4*4: 48. MLP 2*4*8: 64.
# Gains of 3 norms: 12. Embedding 10*4: 40. Per token 6*(48+64+40) + 12 * 1 layer * 2*2 * 6 context.
ONE = TransformerConfig(layers=1, width=4, heads=2, kv_heads=1, head_dim=2, ffn=8, vocab_size=10)
# 2 layers of: q, k, v 3*6*12 and out 12*6: 288, their biases 3*12+6: 42, gated MLP 3*6*5: 90, its
# biases 5+5+6: 16, one norm of a scalar gain and 6 biases: 7, query and key gain: 2. In all 445.
# Final norm 7. Embedding and readout 7*6 each, positions 3*6.
# Per token 6*(2*(288+90) + 42) + 12 * 2 layers * 3*4 * 3 context.
TWO = TransformerConfig(
    layers=2,
    width=6,
    heads=3,
    kv_heads=3,
    head_dim=4,
    ffn=5,
    vocab_size=7,
    positions="learned",
    norm="layernorm",
    gains="scalar",
    biases="all",
    mlp="swiglu",
    qk_norm="rmsnorm",
    embeddings="untied",
    block="parallel",
)


# ONE with 4 times its MLP, 2 of them for a token, and a router 4*4: 64 * 3 + 16 more, 64 * 2 idle.
# Per token 6*(48+2*64+16+40) + the square.
EXPERTS = replace(ONE, experts=4, experts_active=2, capacity_factor=1.0)
# TWO with 3 times its MLP, one for a token: 2 layers of 2*(90+16) idle and a router 6*3 more.
BIASED = replace(TWO, experts=3, experts_active=1, capacity_factor=1.0)


@pytest.mark.parametrize(
    ("config", "context", "total", "active", "nonembedding", "model"),
    [
        (ONE, 6, 164, 164, 124, 1200),
        (TWO, 3, 999, 999, 897, 5652),
        (EXPERTS, 6, 372, 244, 332, 1680),
        (BIASED, 3, 1459, 1035, 1357, 5868),
    ],
)
def test_hand_counts(
    config: TransformerConfig, context: int, total: int, active: int, nonembedding: int, model: int
) -> None:
    dims = config.dims(context)
    assert formulas.params_total(dims) == total
    assert formulas.params_active(dims) == active
    assert formulas.flops_6nd(dims) == 6 * active
    assert formulas.flops_6nd_nonembedding(dims) == 6 * (active - total + nonembedding)
    assert formulas.params_nonembedding(dims) == nonembedding
    assert formulas.flops_model(dims) == model


def _choices() -> dict[str, tuple[Any, ...]]:
    hints = get_type_hints(TransformerConfig).items()
    named = {name: get_args(kind) for name, kind in hints if get_origin(kind) is Literal}
    assert len(named) == 14, "a new choice is covered of itself; count it here"
    for name in ("sharing", "recursion", "weights"):  # with other fields: tests/models/test_part.py
        del named[name]
    sizes = {"kv_heads": (1, 2, 4), "experts": (0, 3)}
    return {**named, **sizes, "layout": ("scan", "unrolled")}


def _covering(choices: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Combinations among which every two choices meet; a parallel block has no peri-norms."""
    rng = random.Random(0)
    drawn = ({name: rng.choice(each) for name, each in choices.items()} for _ in range(300))
    every = [one for one in drawn if (one["norms"], one["block"]) != ("peri", "parallel")]
    met: set[Any] = set()
    for combination in every:
        pairs = set(combinations(combination.items(), 2))
        if not pairs <= met:
            met |= pairs
            yield combination


def test_formulas_count_the_weights_that_the_model_describes() -> None:
    tried = 0
    for choice in _covering(_choices()):
        layout = choice.pop("layout")
        config = replace(SMALL, **choice)
        tree = weights(Spec(config, program=replace(PLAIN, layers=layout)), CONTEXT)
        leaves = jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, Weight))
        book = ledger(config.dims(CONTEXT), tokens=1)
        counted = count(leaves, config.experts_active)
        assert counted == {name: book[name] for name in counted}, choice
        tried += 1
    assert tried > 12


def _forward_flops(spec: Spec, tokens: jax.ShapeDtypeStruct) -> int:
    params = jax.eval_shape(partial(init, spec, CONTEXT), jax.random.key(0))
    return matmul_flops(partial(apply, spec), params, tokens)


@pytest.mark.parametrize("layout", ["unrolled", "scan"])
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, kv_heads=1, mlp="swiglu", embeddings="untied"),
        replace(SMALL, kv_heads=2, biases="all", block="parallel", positions="learned"),
        replace(SMALL, experts=4, capacity_factor=1.0),
        replace(SMALL, experts=3, mlp="swiglu", biases="all", capacity_factor=1.0),
    ],
    ids=["plain", "gated", "parallel", "experts", "gated experts"],
)
def test_flops_model_is_three_times_the_traced_forward_pass(
    config: TransformerConfig, layout: Any
) -> None:
    tokens = jax.ShapeDtypeStruct((3, CONTEXT), jnp.int32)
    traced = _forward_flops(Spec(config, program=replace(PLAIN, layers=layout)), tokens)
    assert 3 * traced == formulas.flops_model(config.dims(CONTEXT)) * 3 * CONTEXT


def test_empty_slots_are_no_work_of_the_model() -> None:
    """6 slots of each of 4 experts for the 2 * 6 choices of 6 tokens: half of them stay empty."""
    config = replace(SMALL, experts=4, capacity_factor=2.0)
    traced = _forward_flops(Spec(config), jax.ShapeDtypeStruct((1, CONTEXT), jnp.int32))
    padding = 2 * 12 * 2 * SMALL.width * SMALL.ffn * SMALL.layers
    assert 3 * (traced - padding) == formulas.flops_model(config.dims(CONTEXT)) * CONTEXT


def _gradient_flops(program: Program, microbatch: int) -> int:
    config = RunConfig(
        Science(model=SMALL, batch=BatchConfig(sequences=4, seq_len=CONTEXT)),
        Execution(program, microbatch=microbatch),
    )
    made = recipe(config)
    params = jax.eval_shape(partial(init, made.spec, CONTEXT), jax.random.key(0))
    windows = jax.ShapeDtypeStruct((4, CONTEXT + 1), jnp.int32)
    return matmul_flops(partial(gradients, made), params, windows)


@pytest.mark.parametrize("backward", ["plain", "barrier"])
@pytest.mark.parametrize("layout", ["unrolled", "scan"])
@pytest.mark.parametrize("microbatch", [1, 2, 4])
def test_flops_model_is_the_traced_gradient(layout: Any, backward: Any, microbatch: int) -> None:
    traced = _gradient_flops(replace(PLAIN, layers=layout, backward=backward), microbatch)
    assert traced == formulas.flops_model(SMALL.dims(CONTEXT)) * 4 * CONTEXT


@pytest.mark.parametrize("layout", ["unrolled", "scan"])
def test_remat_adds_the_forward_pass_of_the_blocks_but_their_last_product(layout: Any) -> None:
    """Nothing in the backward pass asks for the output of a block, so f->d is not done again."""
    dims = SMALL.dims(CONTEXT)
    again = formulas.flops_recomputed(dims, "block") - 2 * SMALL.layers * SMALL.ffn * SMALL.width
    traced = _gradient_flops(replace(PLAIN, layers=layout, remat="block"), 2)
    assert traced == (formulas.flops_model(dims) + again) * 4 * CONTEXT


@pytest.mark.parametrize("layout", ["unrolled", "scan"])
def test_remat_of_all_but_dots_adds_the_attention_square_alone(layout: Any) -> None:
    """Its two products have no weights, so they are not kept: 4 L T H k a token."""
    dims = SMALL.dims(CONTEXT)
    again = formulas.flops_recomputed(dims, "dots")
    assert again == 4 * SMALL.layers * CONTEXT * SMALL.heads * SMALL.head_dim
    traced = _gradient_flops(replace(PLAIN, layers=layout, remat="dots"), 2)
    assert traced == (formulas.flops_model(dims) + again) * 4 * CONTEXT


@pytest.mark.parametrize("chunks", [1, 2, CONTEXT])
def test_logits_in_chunks_are_computed_once(chunks: int) -> None:
    traced = _gradient_flops(replace(PLAIN, logits_chunks=chunks), 2)
    assert traced == formulas.flops_model(SMALL.dims(CONTEXT)) * 4 * CONTEXT


# GPT-3's shape (Brown et al. 2020, table 2.1): L 96, d 12288, H 96, k 128, F 4 d, T 2048, V 50257,
# tied, learned positions, gains and biases left out. All by hand, L d^2 = 14 495 514 624:
#   attention 4 L d^2 + feed-forward 8 L d^2    173 946 175 488  = N non-embedding
#   V d 617 558 016, T d 25 165 824             174 588 899 328  = N total
#   non-embedding + V d                         174 563 733 504  = N matmul
#   12 L d T                                     28 991 029 248  = the attention square
SHAPE = TransformerConfig(
    layers=96,
    width=12288,
    heads=96,
    kv_heads=96,
    head_dim=128,
    ffn=4 * 12288,
    vocab_size=50257,
    positions="learned",
    gains="none",
)
GPT3 = SHAPE.dims(2048)
BY_HAND = {
    "flops_6nd": 1_047_533_395_968,  # 6 N total
    "flops_6nd_nonembedding": 1_043_677_052_928,  # 6 N non-embedding
    "flops_model": 1_076_373_430_272,  # 6 N matmul + the square
    "flops_model_causal": 1_061_877_915_648,  # ... + half the square
    "flops_palm": 1_076_524_425_216,  # 6 N total + the square
    "flops_porian": 1_061_877_915_648,  # H k = d: equal to flops_model_causal
    "flops_deepseek": 1_072_668_082_176,  # 72 L d^2 + the square
    # 72 L d^2 + the square + embedding and readout 12 V d + softmax 9 L H T = 169 869 312
    "flops_chinchilla": 1_080_248_647_680,
    "flops_narayanan": 1_076_373_430_272,  # 72 L d^2 + the square + 6 V d: F = 4 d, so flops_model
    # 3 L (8 d^2 + 2 d T + 16 d^2) + 6 V d = 72 L d^2 + half the square + 6 V d
    "flops_megatron": 1_061_877_915_648,
}
RATIO_TO_MODEL = {
    "flops_6nd": 0.97321,
    "flops_6nd_nonembedding": 0.96962,
    "flops_model": 1.0,
    "flops_model_causal": 0.98653,
    "flops_palm": 1.00014,
    "flops_porian": 0.98653,
    "flops_deepseek": 0.99656,
    "flops_chinchilla": 1.00360,
    "flops_narayanan": 1.0,
    "flops_megatron": 0.98653,
}


def test_parameters_of_gpt3_by_hand() -> None:
    assert formulas.params_nonembedding(GPT3) == 173_946_175_488
    assert formulas.params_total(GPT3) == 174_588_899_328


@pytest.mark.parametrize("name", FLOPS_PER_TOKEN)
def test_flops_of_gpt3_by_hand(name: str) -> None:
    value = FLOPS_PER_TOKEN[name](GPT3)
    assert value == BY_HAND[name]
    assert value / formulas.flops_model(GPT3) == pytest.approx(RATIO_TO_MODEL[name], abs=6e-6)


def test_narayanan_with_recomputation_is_the_published_formula() -> None:
    """96 L d^2 (1 + T/6d + V/16dL) = ours + another forward pass of the layers."""
    L, d, T, V = SHAPE.layers, SHAPE.width, 2048, SHAPE.vocab_size
    published = 96 * L * d**2 * (1 + T / (6 * d) + V / (16 * d * L))
    again = 24 * L * d**2 + 4 * L * d * T
    assert formulas.flops_narayanan(GPT3) + again == pytest.approx(published, rel=1e-12)


@pytest.mark.parametrize("shape", [{}, {"kv_heads": 8}, {"mlp": "swiglu"}, {"head_dim": 64}])
def test_megatron_counts_a_causal_model_of_any_shape(shape: dict[str, Any]) -> None:
    dims = replace(SHAPE, **shape).dims(2048)
    assert formulas.flops_megatron(dims) == formulas.flops_model_causal(dims)


def test_block_remat_makes_six_n_eight_n() -> None:
    """Without attention's square and the readout, 6 N becomes 8 N."""
    dims = replace(SHAPE.dims(0), vocab=0)
    assert formulas.flops_recomputed(dims, "block") == 2 * formulas.params_nonembedding(dims)


def test_grouped_queries_shrink_every_count_that_reads_the_shape() -> None:
    grouped = replace(SHAPE, kv_heads=8).dims(2048)
    saved = 6 * 2 * SHAPE.layers * SHAPE.width * SHAPE.head_dim * (SHAPE.heads - 8)
    assumes_mha = {"flops_deepseek", "flops_narayanan"}
    for name, rule in FLOPS_PER_TOKEN.items():
        assert rule(GPT3) - rule(grouped) == (0 if name in assumes_mha else saved), name


def test_the_ledger_holds_totals_of_every_definition() -> None:
    book = ledger(ONE.dims(6), tokens=1000)
    assert (book["params_total"], book["params_active"], book["tokens"]) == (164, 164, 1000)
    assert book["flops_6nd"] == 6 * 164 * 1000
    assert set(FLOPS_PER_TOKEN) < set(book)
