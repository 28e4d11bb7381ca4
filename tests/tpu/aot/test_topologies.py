"""The two names of a slice, and what is behind them."""

from __future__ import annotations

import math

import pytest

from scaling.common.errors import UserError
from tpu.aot.topologies import GENERATIONS, Topology, compact, topology

# as the pages of the generations have them: libtpu's name, the cloud's, chips, hosts
TABLE = [
    ("v2:4x4", "v2-32", 16, 4),
    ("v3:8x8", "v3-128", 64, 16),
    ("v4:2x2x1", "v4-8", 4, 1),
    ("v4:4x4x8", "v4-256", 128, 32),
    ("v5e:2x4", "v5litepod-8", 8, 1),
    ("v5e:4x4", "v5litepod-16", 16, 4),
    ("v5p:2x2x4", "v5p-32", 16, 4),
    ("v5p:4x4x4", "v5p-128", 64, 16),
    ("v5p:8x8x12", "v5p-1536", 768, 192),
    ("v5p:8x12x16", "v5p-3072", 1536, 384),
    ("v5p:16x16x24", "v5p-12288", 6144, 1536),
    ("v6e:1x1", "v6e-1", 1, 1),
    ("v6e:8x8", "v6e-64", 64, 16),
    ("tpu7x:4x4x4", "tpu7x-128", 64, 16),
]


@pytest.mark.parametrize(("name", "rented", "chips", "hosts"), TABLE)
def test_both_names_are_one_slice(name: str, rented: str, chips: int, hosts: int) -> None:
    found = topology(name)
    assert found == topology(rented)
    assert (found.name, found.accelerator_type) == (name, rented)
    assert (found.chips, found.hosts) == (chips, hosts)
    assert math.prod(found.host_bounds) == found.chips_per_host


def test_v5e_may_be_rented_by_its_common_name() -> None:
    assert topology("v5e-16").accelerator_type == "v5litepod-16"


def test_jax_sees_two_devices_of_a_chip_where_cores_are_apart() -> None:
    counts = {kind: compact(kind, 4).devices for kind in GENERATIONS}
    assert counts == {"v2": 8, "v3": 8, "v4": 4, "v5e": 4, "v5p": 4, "v6e": 4, "tpu7x": 8}


@pytest.mark.parametrize("kind", GENERATIONS)
def test_every_shape_is_whole_hosts(kind: str) -> None:
    for shape in GENERATIONS[kind].shapes:
        found = Topology(kind, shape)
        assert found.hosts * found.chips_per_host == found.chips


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("v5e", "name it as"),
        ("v7x-8", "did you mean 'tpu7x'"),
        ("v5p-100", "counts TensorCores, two of each chip: try v5p-128"),
        ("v5p-9", "try v5p-8"),
        ("v6e-63", "counts chips: try v6e-64"),
        ("v5e:3x3", "try v5e:2x4"),
        ("v5p:8x4x4", "try v5p:4x4x8"),
    ],
)
def test_an_unknown_slice_is_told_the_nearest(text: str, remedy: str) -> None:
    with pytest.raises(UserError, match=remedy) as error:
        topology(text)
    assert text in str(error.value)
    assert "\n" not in str(error.value)
