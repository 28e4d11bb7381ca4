"""One run whose layers lie in stages has the curve of one device."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from quick import cases
from shared_out import MODEL, TOLERANCE, curve, differentiate, held, made, windows

from experiments.training.hypers import hypers
from experiments.training.layout_sharding import mesh, on, state_specs
from experiments.training.step import Recipe, gradients, init_state
from models.transformer import activations, apply
from scaling.common.errors import UserError
from scaling.counting.traced_flops import matmul_flops
from scaling.machines.communication import bubble
from scaling.machines.layout import Layout

LAYERS = 4
DEEP = f"model.layers={LAYERS}"
REMAT = "execution.program.remat=block"

# The sizes of a layout, and what else of the execution
PIPELINES = {
    "stage 2": (("stage=2",), ()),
    "stage 4, remat": (("stage=4",), (REMAT,)),
    "stage 2, fsdp 2, two microbatches": (
        ("stage=2", "fsdp=2", "parts=2"),
        ("execution.microbatch=4",),
    ),
    "stage 2, tensor 2, remat": (("stage=2", "tensor=2"), (REMAT,)),
    "stage 2, two rounds": (("stage=2", "rounds=2"), ()),
    "data 2, stage 2, fsdp 2": (("data=2", "stage=2", "fsdp=2", "parts=2"), ()),
}


def fields(name: str) -> tuple[str, ...]:
    sizes, others = PIPELINES[name]
    layout = (f"execution.layout.{field}" for field in ("name=pipeline", *sizes))
    return (DEEP, *layout, *others)


GRADIENTS = ("stage 2, fsdp 2, two microbatches", "stage 2, two rounds")


@pytest.mark.parametrize("name", cases(PIPELINES, ()))
def test_pipeline_has_the_curve_of_one_device(name: str) -> None:
    alone, (state, losses) = curve(DEEP)[1], curve(*fields(name))
    assert alone[-1] < alone[0] - 0.1, "the run learns, so that equal curves mean something"
    np.testing.assert_allclose(losses, alone, rtol=TOLERANCE)
    sizes = made(*fields(name)).spec.layout.sizes
    ways = sizes["stage"] * sizes["fsdp"] * sizes["tensor"]
    # a little more: gains of heads are whole beside a tensor axis
    assert 1 / ways <= held(state.params["blocks"]) < 1 / ways + 0.02


@pytest.mark.parametrize("name", cases(PIPELINES, GRADIENTS))
def test_pipeline_has_the_gradients_of_one_device(name: str) -> None:
    alone, shared = differentiate(DEEP), differentiate(*fields(name))
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * float(np.abs(theirs).max()))


def shapes(plan: Recipe) -> Any:
    """The parameters, each where it lies."""
    params = jax.eval_shape(partial(init_state, plan), hypers(tiny.config(*MODEL).science)).params
    layout = plan.spec.layout
    if layout.devices == 1:
        return params
    places = on(mesh(layout, jax.devices()[: layout.devices]), state_specs(plan).params)
    return jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), params, places
    )


def test_stages_hand_on_to_their_neighbours_and_hold_their_layers_alone() -> None:
    plan = made(*fields("stage 4, remat"))
    params, batch = shapes(plan), windows()[0]
    program = jax.jit(lambda p, b: gradients(plan, p, b)[1]).lower(params, batch).compile()
    text = program.as_text()
    permutes = set(re.findall(r"collective-permute\(.*source_target_pairs=(\S+),", text))
    assert permutes == {"{{0,1},{1,2},{2,3}}", "{{1,0},{2,1},{3,2}}"}
    assert not re.findall(r"(all-gather|all-to-all|reduce-scatter)\(", text)
    layers = sum(x.size for x in jax.tree.leaves(params["blocks"]))
    others = sum(x.size for x in jax.tree.leaves(params)) - layers
    expected = 4 * (layers // 4 + others + batch.size)
    assert program.memory_analysis().argument_size_in_bytes == pytest.approx(expected, abs=64)


def flops(*assignments: str) -> int:
    """Of the products of a forward pass over the whole batch, on one device."""
    plan = made(*assignments)
    tokens = jax.ShapeDtypeStruct((8, 16), jnp.int32)
    return matmul_flops(lambda p, t: apply(plan.spec, p, t), shapes(plan), tokens)


@pytest.mark.parametrize(
    ("stages", "parts", "rounds"), [(2, 4, 1), (4, 8, 1), (2, 1, 1), (2, 4, 2), (2, 2, 2)]
)
def test_a_stage_works_v_m_of_v_m_plus_p_minus_1_steps(
    stages: int, parts: int, rounds: int
) -> None:
    p, m, v = stages, parts, rounds
    layer = (flops("model.layers=8") - flops(DEEP)) // 4
    outside = flops(DEEP) - LAYERS * layer
    fields = ("name=pipeline", f"stage={p}", f"parts={m}", f"rounds={v}")
    found = flops(DEEP, *(f"execution.layout.{field}" for field in fields))
    assert found == outside + (v * m + p - 1) * LAYERS * layer // (m * p * v)
    layout = Layout("pipeline", stage=p, parts=m, rounds=v).over(p)
    assert bubble(layout) == pytest.approx(1 - LAYERS * layer / p / (found - outside))


def test_a_rest_that_the_parts_do_not_divide_goes_through_too() -> None:
    plan, alone = made(*fields("stage 2")), made(DEEP)
    params, tokens = curve(DEEP)[0].params, windows()[0, :6, :-1]
    placed = jax.device_put(params, jax.tree.map(lambda x: x.sharding, shapes(plan)))
    found = jax.jit(partial(apply, plan.spec))(placed, tokens)
    expected = jax.jit(partial(apply, alone.spec))(params, tokens)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE * float(np.abs(expected).max()))


def test_activations_are_those_of_all_layers() -> None:
    plan = made(*fields("stage 2"))
    tokens = jax.ShapeDtypeStruct((8, 16), jnp.int32)
    seen = jax.eval_shape(lambda p, t: activations(plan.spec, p, t), shapes(plan), tokens)
    assert seen["blocks"]["stream"].shape == (LAYERS, 8, 16, 16)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (("execution.layout.stage=3",), r"model.layers=4 does not divide by 3 \(stage=3"),
        (("execution.layout.stage=8",), r"model.layers=4 does not divide by 8 \(stage=8"),
        (
            ("execution.layout.stage=2", "execution.microbatch=2"),
            r"execution.microbatch=2 does not divide by 4 \(parts=4",
        ),
        (
            ("execution.layout.stage=2", "execution.layout.data=4"),
            r"batch.sequences=8 does not divide by 16 \(data=4 x parts=4",
        ),
        ((), "give execution.layout.stage a size"),
        (
            ("execution.layout.stage=2", "execution.layout.rounds=4"),
            r"model.layers=4 does not divide by 8 \(stage=2 x rounds=4",
        ),
        (
            ("execution.layout.stage=2", "execution.layout.rounds=2", "execution.layout.parts=1"),
            "parts=1: with rounds=2 the first of stage=2 stages would wait for the last",
        ),
    ],
)
def test_what_does_not_divide_is_refused(assignments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(DEEP, "execution.layout.name=pipeline", *assignments)


def test_unrolled_layers_are_stacked_for_a_pipeline() -> None:
    plan = made("execution.program.layers=unrolled", *fields("stage 2"))
    assert plan.spec.program.layers == "scan"
