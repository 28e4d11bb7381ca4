"""Axes of the mesh over links: rings both ways, lines one way, the network beyond the domain."""

from __future__ import annotations

import pytest

from scaling.machines.chips import chip
from scaling.machines.interconnect import links
from scaling.machines.layout import Layout

V5P, V5E, H100 = chip("v5p"), chip("v5e"), chip("h100")


def bandwidths(name: str, devices: int, **sizes: int) -> dict[str, float]:
    layout = Layout("fsdp", **sizes).over(devices)
    return {axis: link.bandwidth for axis, link in links(chip(name), layout).items()}


def test_whole_sides_that_close_are_rings() -> None:
    # 4 x 4 x 8: tensor takes a side of 4, fsdp the other two
    assert bandwidths("v5p", 128, tensor=4) == {"tensor": 2 * 9e10, "fsdp": 2 * 2 * 9e10}
    assert bandwidths("v5p", 128, tensor=8) == {"tensor": 2 * 9e10, "fsdp": 2 * 2 * 9e10}
    assert bandwidths("v5p", 128) == {"fsdp": 3 * 2 * 9e10}


def test_sides_that_do_not_close_are_lines() -> None:
    assert bandwidths("v5e", 16) == {"fsdp": 2 * 4.5e10}
    assert bandwidths("v5e", 256) == {"fsdp": 2 * 2 * 4.5e10}


def test_a_part_of_a_side_is_a_line() -> None:
    # 4 x 4 x 4: tensor takes half of one side
    assert bandwidths("v5p", 64, tensor=2) == {"tensor": 9e10, "fsdp": (1 + 2 + 2) * 9e10}


def test_gpus_of_a_node_send_by_all_links_and_nodes_by_their_hosts() -> None:
    assert bandwidths("h100", 8) == {"fsdp": 4.5e11}
    # an axis over two whole nodes has what a node sends; one across them a GPU's share
    assert bandwidths("h100", 16) == {"fsdp": 4e11}
    assert bandwidths("h100", 16, tensor=8) == {"tensor": 4.5e11, "fsdp": 5e10}


def test_beyond_a_pod_lies_the_network() -> None:
    found = bandwidths("v5e", 512, data=2)
    assert found == {"fsdp": 2 * 2 * 4.5e10, "data": 3.125e9}


@pytest.mark.parametrize(("layout", "hops"), [(Layout("fsdp"), 8), (Layout("data"), 8)])
def test_hops_are_half_of_every_side(layout: Layout, hops: float) -> None:
    assert [link.hops for link in links(V5P, layout.over(128)).values()] == [hops]


def test_only_tpus_pass_on_for_others() -> None:
    assert not links(V5E, Layout("fsdp").over(16))["fsdp"].switched
    assert links(H100, Layout("fsdp").over(8))["fsdp"].switched
