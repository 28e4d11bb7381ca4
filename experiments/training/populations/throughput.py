"""Measured speed of a population of K runs on this process's devices, kept on disk.

The timed program is the training program, so its compilation is kept in the persistent cache. K
doubles, from one member on each device, while that pays and the devices' memory holds it.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

from experiments.config.fields import to_dict
from experiments.config.identity import SCIENCE_VERSION
from experiments.config.run import RunConfig
from experiments.devices import machine
from experiments.devices.machine import use_compilation_cache
from experiments.devices.slot import Slot, prepare
from experiments.training.populations.grouping import ALONE, GAIN, Curve, doublings
from scaling.common.errors import UserError
from scaling.common.files import read_json, write_json

MEMORY = 0.8  # of the device's, for the members; the rest is the compiler's and the data's
STEPS, ROUNDS = 4, 3  # of one timed dispatch; the best round counts


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measured curve on disk, up to `most` members on `devices` devices."""

    most: int
    devices: int
    seconds: Curve


def curves(wanted: Sequence[tuple[RunConfig, int]], slot: Slot) -> list[Curve]:
    """The curve of each signature up to a size, as kept or as a separate process measures it.

    The process is separate because a device opened by this one would be closed to the workers. Runs
    without a measurement train alone.
    """
    if new := [
        (config, most, _path(config, slot))
        for config, most in wanted
        if kept(config, slot, most) is None
    ]:
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_measure_all, args=(new, slot), daemon=True)
        process.start()
        process.join()
    return [kept(config, slot, most) or ALONE for config, most in wanted]


def measure(config: RunConfig, most: int) -> Curve:
    """Seconds of one step of K = 1, D, 2D, 4D, ... members, up to the first that is no gain.

    On D devices anything between 1 and D takes what D takes: one member is on each device.
    """
    import jax
    from jax.errors import JaxRuntimeError

    curve: dict[int, float] = {}
    devices, room, before = jax.local_device_count(), math.inf, 1
    for members in doublings(most, devices):
        share = max(1, members // devices)
        if share > room:
            break
        try:
            curve[members], used = _time(config, members)
        except JaxRuntimeError:  # too little memory after all
            break
        room = MEMORY * _device_bytes() * share / used
        if members > 1 and curve[members] / members * GAIN > curve[before] / before:
            break
        before = members
    if devices in curve:
        curve |= dict.fromkeys(range(2, devices), curve[devices])
    return curve


def _time(config: RunConfig, members: int) -> tuple[float, int]:
    """Seconds of one step of the members, and their bytes on a device (1 if unknown)."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from experiments.training.hypers import hypers
    from experiments.training.populations.programs import programs
    from experiments.training.step import recipe

    science, S = config.science, config.execution.steps_per_dispatch
    shape = (S, science.batch.sequences, science.batch.seq_len + 1)
    windows = np.random.default_rng(0).integers(0, science.model.vocab_size, shape, dtype=np.int32)
    compiled, leaves = programs(recipe(config), members), hypers(science)
    ends = [
        compiled.join([leaves.replace(total_steps=jnp.int32(i * min(STEPS, S)))] * members)
        for i in range(1, ROUNDS + 2)
    ]
    batches = compiled.join([windows] * members)
    state = compiled.join([compiled.init(leaves)] * members)
    chunk = compiled.chunk.lower(state, ends[0], batches).compile()
    used = chunk.memory_analysis()
    seconds = []
    for end in ends:
        start = time.perf_counter()
        state, metrics = chunk(state, end, batches)
        jax.block_until_ready(metrics)
        seconds.append((time.perf_counter() - start) / min(STEPS, S))
    if used is None:
        return min(seconds[1:]), 1
    return min(seconds[1:]), used.argument_size_in_bytes + used.temp_size_in_bytes


def _measure_all(wanted: Sequence[tuple[RunConfig, int, Path]], slot: Slot) -> None:
    """The main function of the measuring process."""
    prepare(slot)
    use_compilation_cache(slot.cache)
    import jax

    for config, most, path in wanted:
        if curve := measure(config, most):
            devices = jax.local_device_count()
            write_json(path, Kept(most, devices, curve))


def kept(config: RunConfig, slot: Slot, most: int = 1) -> Curve | None:
    """The kept curve of a signature, if it goes up to `most` members or as far as it paid."""
    path = _path(config, slot)
    if not path.exists():
        return None
    try:
        found = read_json(path, Kept)
    except UserError:  # damaged, or of another version: it is measured again
        return None
    wanted, measured = (doublings(size, found.devices)[-1] for size in (most, found.most))
    return None if wanted > measured else found.seconds


def _path(config: RunConfig, slot: Slot) -> Path:
    """The file of a program on a kind of place."""
    pinned = [slot.core is not None, slot.gpu is not None]
    place = [slot.kind, _jax_version(), *pinned, *machine.devices()]
    text = json.dumps([SCIENCE_VERSION, to_dict(config), place], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return slot.cache / "throughput" / f"{digest}.json"


@cache
def _jax_version() -> str:
    from importlib.metadata import version

    return version("jax")


def _device_bytes() -> float:
    """Memory of one device: the accelerator's, or a core's share split among CPU devices."""
    import jax

    if stats := jax.local_devices()[0].memory_stats():
        return float(stats["bytes_limit"])
    shares = (os.cpu_count() or 1) * jax.local_device_count()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / shares
