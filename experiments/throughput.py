"""How fast this device trains K runs of one recipe at once, measured once and kept.

The program that is timed is the one that trains, so its compilation is not lost: it is found in the
persistent cache. K doubles for as long as that pays and the device's memory holds it.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import record
from experiments.compilation import use_cache
from experiments.config import SCIENCE_VERSION, RunConfig, to_dict
from experiments.packing import ALONE, GAIN, Curve, doublings
from experiments.worker import Bench, prepare

MEMORY = 0.8  # of the device's, for the members; the rest is the compiler's and the data's
STEPS, ROUNDS = 4, 3  # of one timed dispatch; the best round counts


def curves(wanted: Sequence[tuple[RunConfig, int]], bench: Bench) -> list[Curve]:
    """The curve of each signature up to a size, as kept, or else as a process of its own measures.

    It is a process of its own because a device that this one had opened would be closed to the
    workers. What cannot be measured is trained alone.
    """
    if new := [(config, most) for config, most in wanted if _kept(config, most, bench) is None]:
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_measure_all, args=(new, bench), daemon=True)
        process.start()
        process.join()
    return [_kept(config, most, bench) or ALONE for config, most in wanted]


def measure(config: RunConfig, most: int) -> Curve:
    """Seconds of one step of K = 1, 2, 4, ... members, up to the first that is no gain."""
    from jax.errors import JaxRuntimeError

    curve: dict[int, float] = {}
    room = math.inf
    for members in doublings(most):
        if members > room:
            break
        try:
            curve[members], used = _time(config, members)
        except JaxRuntimeError:  # too little memory after all
            break
        room = MEMORY * _device_bytes() * members / used
        if members > 1 and curve[members] * GAIN > 2 * curve[members // 2]:
            break
    return curve


def _time(config: RunConfig, members: int) -> tuple[float, int]:
    """Seconds of one step of so many members, and the bytes that they take (1: nobody knows)."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from experiments.hypers import hypers
    from experiments.population import programs
    from experiments.step import recipe

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


def _measure_all(wanted: Sequence[tuple[RunConfig, int]], bench: Bench) -> None:
    """The main function of the process."""
    prepare(bench)
    use_cache(bench.cache)
    for config, most in wanted:
        curve = measure(config, most)
        if curve:
            record.write_json(_path(config, bench), {"most": most, "seconds": curve})


def _kept(config: RunConfig, most: int, bench: Bench) -> Curve | None:
    """What was measured before, if it went as far, or to where it no longer paid."""
    path = _path(config, bench)
    if not path.exists():
        return None
    found = record.read_json(path)
    if found["most"] < most:
        return None
    return {int(members): seconds for members, seconds in found["seconds"].items()}


def _path(config: RunConfig, bench: Bench) -> Path:
    """One file for each program on each kind of place to run it."""
    from importlib.metadata import version

    platforms = os.environ.get("JAX_PLATFORMS")
    place = [bench.kind, version("jax"), platforms, bench.core is not None]
    text = json.dumps([SCIENCE_VERSION, to_dict(config), place], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return bench.cache / "throughput" / f"{digest}.json"


def _device_bytes() -> float:
    """Memory for one worker: the accelerator's, or its core's share of the machine's."""
    import jax

    if stats := jax.devices()[0].memory_stats():
        return float(stats["bytes_limit"])
    cores = os.cpu_count() or 1
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / cores
