"""Options of the compilation of a run, beside its layout over devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scaling.common.errors import check_choices


@dataclass(frozen=True)
class Program:
    """Options that never change a loss beyond floating-point noise.

    "auto" and 0 are resolved for a device by experiments/devices/resolve.py; models take neither.
    """

    layers: Literal["unrolled", "scan"] = "unrolled"  # each compiled, or one of them in a loop
    # kept of a layer for the backward pass: all; its input; its input and the outputs of its
    # products with weights. The rest is computed again
    remat: Literal["none", "block", "dots"] = "none"
    # of products; "barrier" keeps XLA:CPU's fast matmul in the backward pass (models/dense.py)
    backward: Literal["auto", "plain", "barrier"] = "auto"
    # its kernel; of sequences over devices "ring" sends keys round where "xla" gathers them
    attention: Literal["auto", "barrier", "xla", "cudnn", "splash", "ring"] = "auto"
    # of their products: over the slots of every expert, or over the tokens that have one, an expert
    # after another (models/ffn/_grouped.py); where none is dropped most slots would be empty
    experts: Literal["slots", "grouped"] = "slots"
    # chunks of positions, of which one has its logits in memory at a time; 0: as suits the device
    logits_chunks: int = 0

    def __post_init__(self) -> None:
        check_choices("execution.program", self)


# Nothing in it is made for one device: it runs on any, alone or over many devices.
PLAIN = Program(backward="plain", attention="xla", logits_chunks=1)
