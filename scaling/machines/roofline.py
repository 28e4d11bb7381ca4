"""Lower bounds on the time of a training step: compute, HBM and network.

Each of the three is taken as if the other two were hidden behind it, so the longest is a bound. A
pipeline adds its bubble. A real step takes longer; the ratio is measured, not predicted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from scaling.counting.formulas import flops_model, flops_recomputed
from scaling.counting.parts import Dims
from scaling.machines import memory, per_device
from scaling.machines.chips import Chip
from scaling.machines.communication import bubble, collectives, seconds, sent
from scaling.machines.interconnect import links
from scaling.machines.layout import Layout
from scaling.machines.memory import Step

Bound = Literal["compute", "hbm", "network"]


def utilisation(flops: float, step_seconds: float, devices: int, peak: float) -> float:
    """MFU of the model's FLOPs in a step, HFU of those with recomputation (Chowdhery et al. 2022).

    Args:
        peak: FLOP/s of one device.
    """
    return flops / (step_seconds * devices * peak)


def hbm_bytes(s: Dims, step: Step, layout: Layout) -> float:
    """Bytes that one device reads and writes in a step, each value as rarely as possible.

    In every microbatch weights are read forward and backward, with remat once more. Their gradients
    are written. Both have the dtype of the products. The accumulator is read and written.
    Activations and logits are written and read, with remat also those that are computed again. Once
    in a step parameters and moments are read and written, and gradients read.
    """
    microbatches = step.sequences / step.microbatch
    weights = per_device.params_blocks(s, layout) + per_device.params_ends(s, layout)
    passes = 3 if step.remat == "none" else 4
    kept = replace(step, remat="none", logits_chunks=1)
    each = (
        passes * step.compute_bytes * weights
        + 2 * memory.accumulator(s, step, layout)
        + 2 * memory.activations(s, kept, layout)
        + 2 * memory.logits(s, kept, layout)
    )
    state = memory.params(s, step, layout) + memory.moments(s, step, layout)
    return microbatches * each + 2 * state + memory.gradients(s, step, layout)


@dataclass(frozen=True)
class Roofline:
    """A step of a run under a layout on a chip; the FLOPs are of all devices, bytes of one.

    Attributes:
        waiting: the share of the time that a pipeline's bubble takes.
        peak: FLOP/s of one device.
    """

    flops_model: float
    flops_hardware: float
    hbm_bytes: float
    network_bytes: float
    compute_seconds: float
    hbm_seconds: float
    network_seconds: float
    waiting: float
    devices: int
    peak: float

    @property
    def bounds(self) -> dict[Bound, float]:
        return {
            "compute": self.compute_seconds,
            "hbm": self.hbm_seconds,
            "network": self.network_seconds,
        }

    @property
    def bound(self) -> Bound:
        """The one of the three that takes longest."""
        return max(self.bounds, key=lambda name: self.bounds[name])

    @property
    def seconds(self) -> float:
        """max(compute, HBM, network) / (1 - bubble)."""
        return max(self.bounds.values()) / (1 - self.waiting)

    def mfu(self, step_seconds: float) -> float:
        """Model FLOPs utilisation of a step of this duration."""
        return utilisation(self.flops_model, step_seconds, self.devices, self.peak)

    def seconds_at(self, mfu: float) -> float:
        """Duration of a step at this MFU, or the bound where that is longer."""
        return max(self.seconds, self.flops_model / (mfu * self.devices * self.peak))


def roofline(
    s: Dims, step: Step, layout: Layout, chip: Chip, dtype: str, members: int = 1
) -> Roofline:
    """The bounds of a step under a settled layout.

    A block of devices does the work of its ceil(members / blocks) runs. Their arrays go together in
    one exchange, so that its latency is paid once.

    Args:
        dtype: of the operands of matrix products.
        members: runs in the program, shared out over the layout's blocks.

    Raises:
        UserError: the chip has no units for that dtype.
    """
    tokens, peak = step.sequences * s.context, chip.flops(dtype)
    again = flops_recomputed(s, step.remat)
    block = per_device.share(members, layout.blocks)
    done = float((flops_model(s) + again) * tokens)
    moved, over = block * hbm_bytes(s, step, layout), {}
    exchanges = [replace(one, array=block * one.array) for one in collectives(s, step, layout)]
    if layout.devices > 1:
        over = dict(links(chip, layout))
    return Roofline(
        flops_model=float(members * flops_model(s) * tokens),
        flops_hardware=members * done,
        hbm_bytes=moved,
        network_bytes=sum(sent(one, layout) for one in exchanges),
        compute_seconds=block * done / layout.devices / peak,
        hbm_seconds=moved / chip.hbm_bandwidth,
        network_seconds=sum(seconds(one, over[one.axis]) for one in exchanges),
        waiting=bubble(layout),
        devices=layout.devices_in_all,
        peak=peak,
    )
