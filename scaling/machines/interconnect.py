"""Bandwidths of the axes of a mesh, by the links of the chips that each axis runs over.

The axis with the nearest neighbours takes its sides of the torus first, whole sides where it can.
A closed side is a ring and carries in both directions. A part of a side, or one that does not
close, is a line whose middle link carries in one. Bandwidths of an axis over several sides add up.
GPUs of a node send through its switch by all their links. Beyond the domain of the links, chips
send no more than their shares of the hosts' network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scaling.machines.chips import Chip
from scaling.machines.layout import Layout


@dataclass(frozen=True)
class Link:
    """Links of one axis.

    Attributes:
        size: devices along it.
        bandwidth: bytes/s that a device sends in a collective among all of them.
        one_way: bytes/s that it sends to its next neighbour.
        hops: links on the longest path within the domain.
        switched: every device reaches every other directly.
    """

    size: int
    bandwidth: float
    one_way: float
    hops: float
    switched: bool


def links(chip: Chip, layout: Layout) -> Mapping[str, Link]:
    """The link of every axis of a settled layout that has more than one device."""
    domain = max(
        n
        for n in range(1, min(chip.domain, layout.devices_in_all) + 1)
        if layout.devices_in_all % n == 0  # domains are alike
    )
    free, sides = domain, list(chip.torus(domain)) if chip.platform == "tpu" else []
    found = {}
    for axis, size in reversed(layout.sizes.items()):
        near = math.gcd(size, free)
        free //= near
        if size > 1:
            inside = _torus(chip, sides, near) if sides else _switch(chip, near)
            found[axis] = _leaving(chip, inside, size)
    return found


def _torus(chip: Chip, sides: list[int], near: int) -> Link:
    """The links of an axis on a torus; its sides are removed from `sides`."""
    bandwidth, hops, left = 0.0, 0.0, near
    whole_first = sorted(range(len(sides)), key=lambda i: (sides[i] != near, -sides[i]))
    for i in whole_first:
        part = math.gcd(left, sides[i])
        if part > 1:
            ring = part == sides[i] and part % chip.closes == 0
            bandwidth += chip.link_bandwidth * (2 if ring else 1)
            hops += part / 2
            sides[i] //= part
            left //= part
    return Link(near, bandwidth, chip.link_bandwidth, hops, switched=False)


def _switch(chip: Chip, near: int) -> Link:
    out = chip.links * chip.link_bandwidth
    return Link(near, out, out, 1.0, switched=True)


def _leaving(chip: Chip, inside: Link, size: int) -> Link:
    """The same link, extended over the network to `size` devices."""
    near = inside.size
    if size == near:
        return inside
    share = near * chip.network
    return Link(
        size,
        min(inside.bandwidth, share) if near > 1 else share,
        chip.network,
        inside.hops + size / near / 2,
        switched=True,  # the network is
    )
