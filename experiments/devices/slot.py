"""A slot of a launcher: one process's share of a machine, prepared before JAX is imported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from experiments.devices.machine import redirect_output


@dataclass(frozen=True)
class Slot:
    """The cache, log and devices of a worker process, the same for all its runs."""

    cache: Path
    log: Path | None  # of all that the process prints; None: not redirected
    core: int | None = None  # to pin to; None: not pinned
    gpu: str | None = None  # as CUDA_VISIBLE_DEVICES names it; None: every device that JAX sees
    devices: int | None = None  # simulated on a CPU; None: by the environment
    kind: str = "local"  # throughputs are shared by slots of one kind


def prepare(slot: Slot) -> None:
    """Bind this process to the slot's log, core and devices. Call before importing JAX."""
    if slot.log is not None:
        redirect_output(slot.log)
    if slot.core is not None:
        os.sched_setaffinity(0, {slot.core})  # before JAX counts its threads
    if slot.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = slot.gpu
    if slot.devices is not None:
        os.environ["JAX_NUM_CPU_DEVICES"] = str(slot.devices)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
