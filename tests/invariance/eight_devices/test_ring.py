"""Keys that go round a ring of devices give the attention of one device."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core
from jax.sharding import NamedSharding
from shared_out import TOLERANCE, curve, made

from experiments.training.layout_sharding import WHOLE, mesh
from models.config import TransformerConfig
from models.mixers._attention import attend
from models.mixers._ring import TILES
from scaling.counting.traced_flops import matmul_flops
from scaling.machines.communication import collectives, sent
from scaling.machines.layout import Layout
from scaling.machines.memory import Step

RING = "execution.program.attention=ring"
SEQUENCE = ("execution.layout.name=sequence", "execution.layout.sequence=4")


def differentiated(layout: Layout, backend: str, *heads: jax.Array) -> Any:
    """A function of the averages, and its gradients."""

    def loss(*heads: jax.Array) -> jax.Array:
        y = attend(*heads, 0.4, backend, layout)  # type: ignore[call-arg,misc]
        return jnp.sin(y).sum()

    return jax.value_and_grad(loss, argnums=(0, 1, 2))(*heads)


def heads(T: int, h: int = 4, g: int = 2) -> tuple[jax.Array, ...]:
    keys = jax.random.split(jax.random.key(T), 3)
    sizes = zip(keys, (h, g, g), strict=True)
    return tuple(jax.random.normal(key, (2, T, heads, 8)) for key, heads in sizes)


def compiled(layout: Layout, T: int) -> tuple[Any, Any]:
    """The ring's program, and its results and those of one device."""
    devices = jax.devices()[: layout.devices]
    whole = NamedSharding(mesh(layout, devices), WHOLE)
    program = jax.jit(partial(differentiated, layout, "ring"), in_shardings=whole)
    found = program(*heads(T))
    alone = jax.jit(partial(differentiated, Layout(), "xla"))(*heads(T))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found, alone)
    return program, alone


@pytest.mark.parametrize("sizes", [{"sequence": 2}, {"sequence": 4, "fsdp": 2}, {"sequence": 8}])
def test_a_ring_has_the_attention_of_one_device(sizes: dict[str, int]) -> None:
    layout = Layout("sequence", **sizes).over(int(np.prod(list(sizes.values()))))  # type: ignore[arg-type]
    compiled(layout, 64)


@pytest.mark.slow
def test_a_ring_has_the_attention_of_one_device_over_8192_positions() -> None:
    compiled(Layout("sequence", sequence=8).over(8), 8192)


def test_a_ring_sends_to_the_next_device_and_computes_no_tile_above_the_diagonal() -> None:
    layout, T, m = Layout("sequence", sequence=4).over(4), 64, 4
    arrays = heads(T)
    program = jax.jit(
        partial(differentiated, layout, "ring"),
        in_shardings=NamedSharding(mesh(layout, jax.devices()[:m]), WHOLE),
    )
    text = program.lower(*arrays).compile().as_text()
    pairs = set(re.findall(r"collective-permute\(.*source_target_pairs=(\S+),", text))
    assert pairs == {"{{0,1},{1,2},{2,3},{3,0}}"}
    square = 2 * 2 * 4 * T * T * 8  # FLOPs of q k^T over batch and heads
    forward, backward = 2 * square, 5 * square  # q k^T again, and four gradients
    each = matmul_flops(partial(differentiated, layout, "ring"), *arrays)
    assert each * m == (forward + backward) * (TILES + 1) // (2 * TILES)


def exchanged(jaxpr: Any) -> Counter[str]:
    """Bytes that a device sends, by primitive, a loop's once for each trip."""
    found: Counter[str] = Counter()
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name in ("ppermute", "all_to_all"):
            found[name] += sum(x.aval.size * x.aval.dtype.itemsize for x in equation.invars)
        for inner in core.jaxprs_in_params(params):
            for kind, count in exchanged(inner).items():
                found[kind] += count * params.get("length", 1)
    return found


def test_a_ring_sends_the_bytes_of_the_formula() -> None:
    layout, m = Layout("sequence", sequence=4).over(4), 4
    traced = jax.make_jaxpr(partial(differentiated, layout, "ring"))(*heads(64))
    theirs = exchanged(traced.jaxpr)
    model = TransformerConfig(layers=1, heads=4, kv_heads=2, head_dim=8)
    step = Step(2, 2, 1, 2, 4, "ring", "none", 1)
    ours: Counter[str] = Counter()
    for one in collectives(model.dims(64), step, layout):
        if one.kind in ("permute", "all_to_all"):
            ours[one.kind] += int(sent(one, layout))
    assert ours["permute"] == theirs["ppermute"] > 0
    assert ours["all_to_all"] == theirs["all_to_all"] * (m - 1) // m > 0  # one part stays


@pytest.mark.slow
def test_a_run_in_a_ring_has_the_curve_of_one_device() -> None:
    alone, losses = curve()[1], curve(*SEQUENCE, RING)[1]
    np.testing.assert_allclose(losses, alone, rtol=TOLERANCE)


def test_the_device_chooses_the_ring_where_it_moves_less() -> None:
    def chosen(*fields: str) -> str:
        return made(*SEQUENCE, *fields).spec.program.attention

    assert (chosen("batch.seq_len=384"), chosen("batch.seq_len=400")) == ("xla", "ring")
    assert chosen("batch.seq_len=404") == "xla"  # which 16 does not divide
