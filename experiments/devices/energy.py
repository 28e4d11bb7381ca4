"""Energy that this process has used: counters of CPU packages (RAPL) and of NVIDIA GPUs (NVML).

    joules = share x (rise of all packages) + rise of the GPUs that JAX sees

The share is this process's CPU time over the busy CPU time of the machine: a worker pays for its
part of an idle package, too. Linux alone has these counters, and often for root alone; a machine
without one that can be read gives None. Memory, network and cooling are not counted.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from experiments.devices.machine import gpus

POWERCAP = Path("/sys/class/powercap")
STAT = Path("/proc/stat")
IDLE = (3, 4)  # columns of /proc/stat that are no work: idle, iowait
MICRO, MILLI = 1e-6, 1e-3


class Meter:
    """Counters from now on."""

    def __init__(self) -> None:
        self._packages, self._gpus = packages(), gpu_joules()
        self._own, self._busy = _own_seconds(), _busy_seconds()

    def joules(self) -> float | None:
        """Joules since the meter was made; None where no counter can be read."""
        now, cards = packages(), gpu_joules()
        both = self._packages.keys() & now.keys()
        if not both and (cards is None or self._gpus is None):
            return None
        total = 0.0
        if both:
            rise = sum(_rise(self._packages[name], now[name]) for name in both)
            busy = _busy_seconds() - self._busy
            own = _own_seconds() - self._own
            total += rise * (min(1.0, own / busy) if busy > 0 else 1.0)
        if cards is not None and self._gpus is not None:
            total += cards - self._gpus
        return total


Counter = tuple[float, float]  # joules, and the value at which it begins anew


def packages() -> Mapping[str, Counter]:
    """The counter of each CPU package; none where they cannot be read."""
    found = {}
    for folder in POWERCAP.glob("intel-rapl:[0-9]*"):
        if folder.name.count(":") > 1:  # a part of a package
            continue
        try:
            text = [(folder / name).read_text() for name in ("energy_uj", "max_energy_range_uj")]
        except OSError:
            continue
        found[folder.name] = (MICRO * int(text[0]), MICRO * int(text[1]))
    return found


def _rise(before: Counter, now: Counter) -> float:
    """Joules between two readings of a counter that has begun anew at most once."""
    gained = now[0] - before[0]
    return gained if gained >= 0 else gained + now[1]


def gpu_joules() -> float | None:
    """Joules of the GPUs that JAX sees, since their driver was loaded; None without them."""
    names = gpus()
    if not names:
        return None
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    if nvml.nvmlInit_v2() != 0:
        return None
    total = 0.0
    for name in names:
        handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
        by_number = name.isdigit()
        found = (
            nvml.nvmlDeviceGetHandleByIndex_v2(int(name), ctypes.byref(handle))
            if by_number
            else nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
        )
        if found or nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
            return None
        total += MILLI * millijoules.value
    return total


def _own_seconds() -> float:
    """CPU time of this process and of the children that it has waited for."""
    return sum(os.times()[:4])


def _busy_seconds() -> float:
    """CPU time of the whole machine that was no idling; 0 where the system does not tell."""
    try:
        numbers = STAT.read_text().splitlines()[0].split()[1:9]
    except OSError:
        return 0.0
    busy = sum(int(each) for at, each in enumerate(numbers) if at not in IDLE)
    return busy / os.sysconf("SC_CLK_TCK")
