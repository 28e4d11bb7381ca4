from __future__ import annotations

import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from models.layout import constrain, gather, of_weight, sharding, spec
from scaling.common.errors import UserError
from scaling.machines.layout import Layout
from scaling.machines.placement import ARRAYS, WEIGHTS
from scaling.parametrization.weight import Weight

BOTH = Layout("fsdp_tensor", tensor=2).over(8)
QUERY = Weight("blocks/attention/query", "query", "d->hk", (16, 4, 8))
STACKED = Weight("blocks/attention/query", "query", "d->hk", (16, 4, 8), stacked=6)


@pytest.mark.parametrize(
    ("letters", "shape", "expected"),
    [
        ("dhk", (16, 4, 8), P("fsdp", "tensor", None)),
        ("hkd", (4, 8, 16), P("tensor", None, "fsdp")),
        ("df", (16, 32), P("fsdp", "tensor")),
        ("vd", (32, 16), P("tensor", "fsdp")),
        ("vd", (33, 16), P(None, "fsdp")),  # an odd vocabulary is not padded
        ("dgk", (16, 1, 8), P("fsdp", None, None)),  # one key-value head is on each
        ("d", (16,), P("fsdp")),
        ("", (), P()),
    ],
)
def test_weights_lie_by_their_letters(letters, shape, expected):
    assert spec(WEIGHTS, BOTH, letters, shape) == expected


@pytest.mark.parametrize(
    ("layout", "letters", "shape", "expected"),
    [
        (BOTH, "BTd", (8, 16, 16), P("fsdp", None, None)),
        (BOTH, "BThk", (8, 16, 4, 8), P("fsdp", None, "tensor", None)),
        (BOTH, "BTv", (8, 16, 32), P("fsdp", None, "tensor")),
        (BOTH, "BTd", (3, 16, 16), P(None, None, None)),  # the last windows of a validation
        (
            Layout("sequence", data=2, fsdp=2, sequence=2).over(8),
            "BTd",
            (8, 16, 16),
            P(("data", "fsdp"), "sequence", None),
        ),
    ],
)
def test_arrays_lie_by_their_letters(layout, letters, shape, expected):
    assert spec(ARRAYS, layout, letters, shape) == expected


def test_no_axis_splits_two_letters():
    layout = Layout("expert", expert=2).over(8)
    assert spec(ARRAYS, layout, "eBCd", (4, 8, 3, 16)) == P("expert", "fsdp", None, None)


def test_a_letter_of_no_table_is_an_error():
    with pytest.raises(KeyError, match=r"no row for the letters \['z'\]"):
        spec(WEIGHTS, BOTH, "dz", (16, 4))


@pytest.mark.parametrize(
    ("letters", "shape", "message"),
    [
        ("dhk", (16, 3, 8), r"model.heads=3 does not divide by 2 \(tensor=2 of execution.layout\)"),
        ("df", (18, 32), r"model.width=18 does not divide by 4 \(fsdp=4"),
    ],
)
def test_what_does_not_divide_is_one_line(letters, shape, message):
    with pytest.raises(UserError, match=message):
        spec(WEIGHTS, BOTH, letters, shape)


@pytest.mark.parametrize(
    ("zero", "params", "gradients", "optimizer"),
    [
        (1, P(None, None, None), P(None, None, None), P("fsdp", None, None)),
        (2, P(None, None, None), P("fsdp", None, None), P("fsdp", None, None)),
        (3, P("fsdp", None, None), P("fsdp", None, None), P("fsdp", None, None)),
    ],
)
def test_each_stage_of_zero_splits_one_tree_more(zero, params, gradients, optimizer):
    layout = Layout("fsdp", zero=zero).over(4)
    found = [of_weight(layout, QUERY, tree) for tree in ("params", "gradients", "optimizer")]
    assert found == [params, gradients, optimizer]


def test_stacked_layers_lie_along_the_stages():
    layout = Layout("pipeline", stage=3, fsdp=2).over(6)
    assert of_weight(layout, STACKED, "params") == P("stage", "fsdp", None, None)
    assert sharding(layout, STACKED) == "L:stage d:fsdp"
    assert sharding(Layout(), STACKED) == "whole"


def test_one_device_has_a_program_without_a_trace_of_layouts():
    x = jnp.ones((4, 8, 16))
    assert constrain(Layout(), x, "BTd") is x
    assert gather(Layout(), x, "hk->d") is x
