"""Layouts of one run over devices: a mesh of named axes, and the trees that are split on it.

Each named layout has one axis that takes the remaining devices, and may require a size for another.
Any axis may have a size. `scaling.machines.placement` says which letter lies along which axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from scaling.common.errors import AT_LEAST_ONE, Ranges, UserError, check_choices, check_ranges

Name = Literal[
    "single",
    "data",
    "fsdp",
    "fsdp_tensor",
    "hierarchical",
    "expert",
    "sequence",
    "pipeline",
    "auto",
]

# Axes of a mesh, from the furthest neighbours to the nearest.
AXES = ("population", "data", "stage", "fsdp", "expert", "sequence", "tensor")

# Axes along which the sequences of a batch lie.
BATCH = ("data", "fsdp", "expert")


@dataclass(frozen=True)
class LayoutKind:
    """A named layout."""

    fills: str  # the axis that takes the devices that are left
    needs: str | None  # the axis that must be given a size
    what: str


KINDS: Mapping[str, LayoutKind] = {
    "data": LayoutKind("data", None, "each device a whole copy of the state"),
    "fsdp": LayoutKind("fsdp", None, "each device a part of the state (ZeRO)"),
    "fsdp_tensor": LayoutKind("fsdp", "tensor", "besides, each matrix shared by near devices"),
    "hierarchical": LayoutKind("data", "fsdp", "ZeRO among near devices, copies across far ones"),
    "expert": LayoutKind("fsdp", "expert", "each device some of the experts"),
    "sequence": LayoutKind("fsdp", "sequence", "each device a part of every sequence"),
    "pipeline": LayoutKind("data", "stage", "each device some of the layers"),
}


RANGES: Ranges = {
    **dict.fromkeys((*AXES, "parts"), (0, math.inf, "must be 0 (left open) or more")),
    "rounds": AT_LEAST_ONE,
}


@dataclass(frozen=True)
class Layout:
    """A mesh. Part of a run's execution, never of its science.

    An axis of size 0 is open: `over` settles it for a number of devices.
    """

    name: Name = "single"  # how a run lies over its devices
    data: int = 0  # whole copies of the state, each with some of the batch [devices]
    fsdp: int = 0  # shares of the state, each with some of the batch [devices]
    tensor: int = 0  # shares of each matrix [devices]
    expert: int = 0  # shares of the experts [devices]
    sequence: int = 0  # shares of every sequence [devices]
    stage: int = 0  # shares of the layers [devices]
    # trees split along fsdp: 1, the optimizer's; 2, gradients too; 3, parameters too
    zero: Literal[1, 2, 3] = 3
    parts: int = 0  # of a microbatch on its way through a pipeline; 0: two for each stage
    rounds: int = 1  # of a microbatch through the stages, each with a group of layers for a round
    # shares of a population's members, each over all of the other axes; 0: one [devices]
    population: int = 0

    def __post_init__(self) -> None:
        check_choices("execution.layout", self)
        check_ranges("execution.layout", self, RANGES)
        for axis in RANGES:
            size = getattr(self, axis)
            if size > 1 and self.name in ("single", "auto"):
                raise UserError(
                    f"execution.layout.{axis}={size}: the layout {self.name!r} takes no sizes; "
                    f"set execution.layout.name to one of {', '.join(KINDS)}"
                )

    @property
    def sizes(self) -> dict[str, int]:
        """Size of every axis of one run, in the order of `AXES`; an open axis counts as 1."""
        return {axis: max(1, getattr(self, axis)) for axis in AXES[1:]}

    @property
    def blocks(self) -> int:
        """Groups of devices, each with some of a population's members."""
        return max(1, self.population)

    @property
    def devices(self) -> int:
        """Number of devices of one run, under a settled layout; of an open one, the least."""
        return math.prod(self.sizes.values())

    @property
    def mesh(self) -> dict[str, int]:
        """Size of every axis of the mesh: `population` where it is split, then those of one run."""
        return {**({AXES[0]: self.blocks} if self.blocks > 1 else {}), **self.sizes}

    @property
    def devices_in_all(self) -> int:
        """Number of devices of the mesh: those of one run in every block."""
        return math.prod(self.mesh.values())

    @property
    def batch_ways(self) -> int:
        """Number of shares of a batch's sequences."""
        return math.prod(self.sizes[axis] for axis in BATCH)

    @property
    def pipeline_parts(self) -> int:
        """Parts of a microbatch on its way through the stages."""
        stages = self.sizes["stage"]
        return 1 if stages == 1 else self.parts or 2 * stages

    def over(self, devices: int) -> Layout:
        """The layout with every axis and the parts settled for this number of devices.

        Raises:
            UserError: an axis that must be given is not, or the axes do not multiply to `devices`.
        """
        if self.name == "auto":
            raise UserError(
                "execution.layout.name=auto: it is chosen on the devices that train, or for others "
                "by `windtunnel tpu estimate --layout auto`"
            )
        sizes = self.sizes
        if self.name != "single":
            kind = KINDS[self.name]
            if kind.needs and not getattr(self, kind.needs):
                raise UserError(
                    f"execution.layout.name={self.name}: give execution.layout.{kind.needs} a size"
                )
            if not getattr(self, kind.fills):
                sizes[kind.fills] = max(1, devices // self.devices_in_all)
        if self.blocks * math.prod(sizes.values()) != devices:
            axes = (self.mesh | sizes).items()
            given = " x ".join(f"{axis} {n}" for axis, n in axes if n > 1) or "one device"
            raise UserError(
                f"execution.layout: {given} is not the {devices} devices there are; "
                "change the sizes of its axes"
            )
        settled = replace(self, population=self.blocks, **sizes)  # type: ignore[arg-type]
        return replace(settled, parts=settled.pipeline_parts)
