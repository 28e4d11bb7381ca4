"""How fast the axes of a mesh are: which links of the chips each axis runs over.

The axis whose neighbours are nearest takes its sides of the torus first, whole sides where it can.
A side that is a ring carries in both directions; a part of a side, or one that does not close, is a
line whose middle link carries in one. An axis over several sides has the sum of their bandwidths.
GPUs of a node send through its switch by all their links. Where an axis leaves the domain of the
links, what its chips within a domain send is bounded by their shares of the hosts' network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scaling.machines.chips import Chip
from scaling.machines.layout import Layout


@dataclass(frozen=True)
class Link:
    """What one axis runs over.

    Attributes:
        size: devices along it.
        bandwidth: bytes/s that a device sends in a collective among all of them.
        one_way: bytes/s that it sends to its next neighbour.
        hops: of the longest way within the domain.
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
        for n in range(1, min(chip.domain, layout.devices) + 1)
        if layout.devices % n == 0  # domains are alike
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
    """Takes its sides away from those that are left."""
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
    """The same link where it goes on over the network, to `size` devices."""
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
