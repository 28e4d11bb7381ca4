"""Slices of TPUs: their names, their shapes and their hosts.

A slice has two names. libtpu and the compiler know it by its shape, ``v5p:4x4x8``; the cloud rents
it by a number, ``v5p-256``, which counts TensorCores up to v4 and of v5p, and chips of v5e, v6e.

Public: `topology(text) -> Topology` reads either name; a `Topology` has `.name` (libtpu's),
`.accelerator_type` (the cloud's), `.shape`, `.chips`, `.devices` (JAX's), `.hosts`,
`.chips_per_host`, `.host_bounds` (libtpu's `chips_per_host_bounds`) and `.generation`;
`compact(kind, chips)` is the slice behind a number; `GENERATIONS` is the table.

Source: docs.cloud.google.com/tpu/docs/{v2,v3,v4,v5e,v5p,v6e} and .../runtimes;
docs.cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus for tpu7x.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from scaling.common.errors import UserError, nearest

Shape = tuple[int, ...]

HOST = 4  # chips of one host of a slice
PLANE = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))  # of v5e and v6e
BELOW_A_CUBE = ((2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4))
CUBE = 4  # the side of the blocks that larger slices in three dimensions are built of


def _cubes(sides: Shape) -> tuple[Shape, ...]:
    """The shapes up to this one whose sides are whole cubes and do not fall, and the small ones."""
    steps = range(CUBE, sides[-1] + 1, CUBE)
    whole = itertools.combinations_with_replacement(steps, 3)
    return BELOW_A_CUBE + tuple(
        shape for shape in whole if all(n <= most for n, most in zip(shape, sides, strict=True))
    )


@dataclass(frozen=True)
class Generation:
    """One kind of TPU chip, as it is rented."""

    shapes: tuple[Shape, ...]
    rented: str  # how its accelerator types begin
    counts: int  # units of one chip in the number of an accelerator type
    devices: int  # JAX devices of one chip
    runtime: str | None  # software of its virtual machines; None: Kubernetes alone rents it
    one_host: int = HOST  # the largest slice with a single host, in chips


UBUNTU = "tpu-ubuntu2204-base"

GENERATIONS: Mapping[str, Generation] = {
    "v2": Generation(((2, 2), (4, 4), (8, 8), (8, 16), (16, 16)), "v2", 2, 2, UBUNTU),
    "v3": Generation(
        ((2, 2), (4, 4), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32)), "v3", 2, 2, UBUNTU
    ),
    "v4": Generation(_cubes((12, 16, 16)), "v4", 2, 1, UBUNTU),
    "v5e": Generation(PLANE, "v5litepod", 1, 1, "v2-alpha-tpuv5-lite", one_host=8),
    "v5p": Generation(_cubes((16, 16, 24)), "v5p", 2, 1, "v2-alpha-tpuv5"),
    "v6e": Generation(PLANE, "v6e", 1, 1, "v2-alpha-tpuv6e", one_host=8),
    "tpu7x": Generation(((1, 1, 1), *_cubes((8, 16, 16))), "tpu7x", 2, 2, None),
}


@dataclass(frozen=True)
class Topology:
    """One slice: chips of one generation, joined in a grid."""

    kind: str  # of `GENERATIONS`
    shape: Shape

    @property
    def generation(self) -> Generation:
        return GENERATIONS[self.kind]

    @property
    def name(self) -> str:
        """As libtpu knows it."""
        return f"{self.kind}:{'x'.join(map(str, self.shape))}"

    @property
    def accelerator_type(self) -> str:
        """As the cloud rents it."""
        return f"{self.generation.rented}-{self.chips * self.generation.counts}"

    @property
    def chips(self) -> int:
        return math.prod(self.shape)

    @property
    def devices(self) -> int:
        return self.chips * self.generation.devices

    @property
    def chips_per_host(self) -> int:
        return self.chips if self.chips <= self.generation.one_host else HOST

    @property
    def hosts(self) -> int:
        return self.chips // self.chips_per_host

    @property
    def host_bounds(self) -> tuple[int, int, int]:
        """The grid of one host's chips."""
        return {1: (1, 1, 1), HOST: (2, 2, 1), 8: (2, 4, 1)}[self.chips_per_host]


def topology(text: str) -> Topology:
    """The slice of a name: ``v5e:4x4``, or ``v5litepod-16`` (also ``v5e-16``).

    Raises:
        UserError: there is no such generation, shape or number.
    """
    match = re.fullmatch(r"(\w+)(?::(\d+(?:x\d+)+)|-(\d+))", text)
    if match is None:
        raise UserError(f"{text}: no TPU slice; name it as v5e:4x4 or as v5litepod-16")
    word, sides, number = match.groups()
    kinds = {name: name for name in GENERATIONS}
    kinds |= {generation.rented: name for name, generation in GENERATIONS.items()}
    if word not in kinds:
        raise UserError(f"{text}: no TPU is called {word!r}; {nearest(word, kinds)}")
    kind = kinds[word]
    counts = GENERATIONS[kind].counts
    if sides:
        shape = tuple(map(int, sides.split("x")))
        if shape not in GENERATIONS[kind].shapes:
            near = compact(kind, math.prod(shape))
            raise UserError(f"{text}: {kind} has no such shape; try {near.name}")
        return Topology(kind, shape)
    near = compact(kind, int(number) // counts)
    if near.chips * counts != int(number):
        counted = "chips" if counts == 1 else "TensorCores, two of each chip"
        raise UserError(
            f"{text}: no slice has this size; {kind} counts {counted}: try {near.accelerator_type}"
        )
    return near


def compact(kind: str, chips: int) -> Topology:
    """The slice of this number of chips, or of the nearest number, whose sides differ least.

    The number of an accelerator type means this slice.
    """
    shapes = GENERATIONS[kind].shapes
    return Topology(
        kind, min(shapes, key=lambda shape: (abs(math.prod(shape) - chips), sum(shape)))
    )
