"""The fastest layout of a run on given chips, among those that divide it and fit.

Every factorisation over data, fsdp and tensor is estimated with every allowed microbatch, by
`scaling.machines.memory` and `scaling.machines.roofline`. Experts are split too where there are
some. Positions or layers are split only where none fits. The bytes sent break ties, since no
program hides all of them. Several runs in one program may share the devices out in blocks.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scaling.common.errors import UserError
from scaling.counting.parts import Dims
from scaling.machines import per_device, placement
from scaling.machines.chips import GIB, Chip
from scaling.machines.layout import Layout, Name
from scaling.machines.memory import Attention, Step, memory
from scaling.machines.roofline import Roofline, roofline

# Share of a chip's memory that a layout may fill: the formulas err by up to 15 %, mostly upwards
USABLE = 0.9


@dataclass(frozen=True)
class Candidate:
    """A settled layout and a microbatch, with their memory and their time."""

    layout: Layout
    step: Step
    bytes: int  # of one chip
    roofline: Roofline
    members: int = 1  # runs in the program

    @property
    def seconds_per_run(self) -> float:
        """The bound of a step, for each of the members."""
        return self.roofline.seconds / self.members

    @property
    def name(self) -> str:
        """Its axes."""
        sizes = {**self.layout.mesh, "rounds": self.layout.rounds}
        axes = [f"{axis} {size}" for axis, size in sizes.items() if size > 1]
        axes += ["ring"] * (self.step.attention == "ring")
        return ", ".join(axes) or self.layout.name

    @property
    def sent(self) -> float:
        """Bytes that one chip sends in a step."""
        return self.roofline.network_bytes


@dataclass(frozen=True)
class LayoutRanking:
    """The best layout, and every other one that divides the run."""

    best: Candidate
    others: tuple[Candidate, ...]  # best first, those that do not fit last


@dataclass(frozen=True)
class LayoutProblem:
    """A run and a chip to lay it out on.

    Attributes:
        microbatches: allowed ones, rising; the step's own is not read.
        dtype: of the operands of matrix products.
        along: kernels of attention that are weighed where positions are split.
        members: runs of these sizes in one program.
    """

    dims: Dims
    step: Step
    microbatches: Sequence[int]
    chip: Chip
    dtype: str
    along: Sequence[Attention] = ("xla", "ring")
    members: int = 1

    def weigh(self, layout: Layout, microbatch: int) -> Candidate:
        """The candidate of one settled layout, with the better kernel where positions are split.

        Raises:
            UserError: it does not divide the run, or the chip lacks the dtype.
        """
        step = replace(self.step, microbatch=microbatch)
        placement.check(self.dims, step.sequences, microbatch, layout, step.experts)
        ways, kernels = layout.sizes["sequence"], self.along
        if ways == 1:
            kernels = (step.attention,)
        elif self.dims.context % ways**2:
            kernels = [kernel for kernel in kernels if kernel != "ring"] or ("xla",)
        found = (self._with(layout, replace(step, attention=kernel)) for kernel in kernels)
        return min(found, key=self._rank)

    def _with(self, layout: Layout, step: Step) -> Candidate:
        block = per_device.share(self.members, layout.blocks)
        need = sum(memory(self.dims, step, block, layout).values())
        bounds = roofline(self.dims, step, layout, self.chip, self.dtype, self.members)
        return Candidate(layout, step, need, bounds, self.members)

    def fits(self, candidate: Candidate) -> bool:
        return candidate.bytes <= USABLE * self.chip.hbm_bytes

    def best(self, layouts: Sequence[Layout]) -> LayoutRanking:
        """The fastest of these settled layouts that fits.

        Raises:
            UserError: none divides the run, or none that does fits; or the chip lacks the dtype.
        """
        found = self._weighed(layouts)
        if not found:
            self.weigh(
                layouts[0], self.microbatches[-1]
            )  # its error names the size that does not divide
        return self._settle(found)

    def auto(self, devices: int) -> LayoutRanking:
        """The fastest layout over this number of devices that fits.

        Raises:
            UserError: as `best`.
        """
        found: dict[Layout, Candidate] = {}
        for axes in SHARED:
            layouts = layouts_over(devices, axes, self.members)
            found |= {one.layout: one for one in self._weighed(layouts)}
            if any(map(self.fits, found.values())):
                break
        if not found:
            s, step = self.dims, self.step
            raise UserError(
                f"{devices} chips: no layout of them divides batch.sequences={step.sequences}, "
                f"model.width={s.width}, model.layers={s.layers} and the sizes of its parts; "
                "choose another number of chips"
            )
        return self._settle(list(found.values()))

    def together(self, devices: int, runs: int) -> LayoutRanking:
        """The number of members, up to `runs`, and the layout of least time for each run.

        The number doubles while a run gains, by more than the formulas tell apart.

        Raises:
            UserError: as `best`, of one run.
        """
        found, members = replace(self, members=1).auto(devices), 1
        while (members := 2 * members) <= runs:
            try:
                more = replace(self, members=members).auto(devices)
            except UserError:  # so many do not fit
                break
            if more.best.seconds_per_run * TOLD_APART > found.best.seconds_per_run:
                break
            found = more
        return found

    def _weighed(self, layouts: Iterable[Layout]) -> list[Candidate]:
        """Every layout that divides the run, with the largest microbatch that fits.

        Where none fits it has the smallest. Fewer microbatches are faster, since each gathers and
        reads the weights.
        """
        self.chip.flops(self.dtype)
        found = []
        for layout in layouts:
            weighed = None
            for microbatch in reversed(self.microbatches):
                with contextlib.suppress(UserError):
                    weighed = self.weigh(layout, microbatch)
                    if self.fits(weighed):
                        break
            if weighed is not None:
                found.append(weighed)
        return found

    def _settle(self, found: Sequence[Candidate]) -> LayoutRanking:
        best, *others = sorted(found, key=self._rank)
        if not self.fits(best):
            raise self._too_large(best)
        return LayoutRanking(best, tuple(others))

    def _rank(self, one: Candidate) -> tuple[float, ...]:
        """Sort key, best first: the time of a layout that fits, else its memory."""
        if not self.fits(one):
            return math.inf, one.bytes
        return one.roofline.seconds, one.roofline.network_seconds, one.bytes

    def _too_large(self, least: Candidate) -> UserError:
        usable = USABLE * self.chip.hbm_bytes
        remedies = ["more chips"]
        if self.step.remat == "none":
            remedies.append("execution.program.remat=block")
        if self.microbatches[0] > least.layout.batch_ways:
            remedies.append("a smaller execution.microbatch")
        return UserError(
            f"{least.layout.devices} x {self.chip.name}: {least.name} needs "
            f"{least.bytes / GIB:.1f} GiB a chip, {(least.bytes - usable) / GIB:.1f} more than the "
            f"{usable / GIB:.1f} that may be filled; take {', or '.join(remedies)}"
        )


# Axes that `auto` splits, in the order tried: the later sets cost more
SHARED = (
    ("data", "fsdp", "expert", "tensor"),
    ("data", "fsdp", "tensor", "sequence"),
    ("data", "fsdp", "tensor", "stage"),
)
TOLD_APART = 1.05  # less is no gain

ROUNDS = (1, 2, 4)  # of a pipeline

# The named layout of an axis; the first axis that is split decides
NAMES: Mapping[str, Name] = {
    "stage": "pipeline",
    "sequence": "sequence",
    "expert": "expert",
    "tensor": "fsdp_tensor",
    "data": "data",
    "fsdp": "fsdp",
}


def layouts_over(devices: int, axes: Sequence[str], members: int = 1) -> Iterator[Layout]:
    """Every settled layout of this number of devices over these axes.

    Args:
        members: of a population; there are no more blocks of devices than members.
    """
    for blocks, *sizes in _products(devices, len(axes) + 1):
        if blocks > members:
            continue
        split = {axis: size for axis, size in zip(axes, sizes, strict=True) if size > 1}
        name = next((NAMES[axis] for axis in NAMES if axis in split), "single")
        if split.keys() == {"data", "fsdp"}:
            name = "hierarchical"
        if blocks > 1:
            name, split = "data" if name == "single" else name, split | {"population": blocks}
        for rounds in ROUNDS if "stage" in split else (1,):
            yield Layout(name, rounds=rounds, **split).over(devices)  # type: ignore[arg-type]


def _products(number: int, factors: int) -> Iterator[tuple[int, ...]]:
    if factors == 1:
        yield (number,)
        return
    for first in (n for n in range(1, number + 1) if number % n == 0):
        for rest in _products(number // first, factors - 1):
            yield (first, *rest)
