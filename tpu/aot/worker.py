"""Compile the program of one run for chips that are not here; `tpu.aot.compiler` starts it.

    windtunnel tpu.aot.worker CONFIG.json TOPOLOGY RESULT.json

The program is the chunk that the trainer dispatches, lowered from shapes and shardings alone. No
operation can run on the devices of a topology.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies

from experiments.config.from_record import from_record
from experiments.config.run import RunConfig
from experiments.record import StoredConfig, read_file
from experiments.training import layout_sharding
from experiments.training.hypers import hypers
from experiments.training.step import Recipe, init_state, recipe, train_chunk
from scaling.common.command_line import exit_code
from tpu.aot.collectives import parse
from tpu.aot.compiler import CompiledProgram, NoRoom, Outcome, write
from tpu.aot.topologies import Topology, topology

# The two cores of a chip as one device, where that is not libtpu's own choice
CHIP = {"v4": {"chip_config_name": "megacore"}}


def lowered(config: RunConfig, made: Recipe, slice_: Topology) -> jax.stages.Lowered:
    """The chunk of a run, its arguments as shapes."""
    devices = topologies.get_topology_desc(
        platform="tpu",
        topology_name=slice_.name,
        chips_per_host_bounds=slice_.host_bounds,
        **CHIP.get(slice_.kind, {}),
    ).devices
    layout, batch = made.spec.layout, config.science.batch
    mesh = layout_sharding.mesh(layout, devices[: layout.devices_in_all])
    given = jax.eval_shape(partial(hypers, config.science))
    state = jax.eval_shape(partial(init_state, made), given)
    steps = config.execution.steps_per_dispatch
    batches = jax.ShapeDtypeStruct((steps, batch.sequences, batch.seq_len + 1), np.int32)
    chunk = layout_sharding.split(mesh, made)["chunk"](partial(train_chunk, made))
    found: jax.stages.Lowered = chunk.lower(state, given, batches)
    return found


def outcome(config: RunConfig, slice_: Topology) -> Outcome:
    """The outcome of the compilation."""
    made = recipe(config, platform="tpu", devices=slice_.devices)
    axes = {axis: size for axis, size in made.spec.layout.sizes.items() if size > 1}
    program = lowered(config, made, slice_)
    start = time.monotonic()
    try:
        done = program.compile()
    except jax.errors.JaxRuntimeError as error:
        text, _, _ = str(error).partition("\n")
        if not text.startswith("RESOURCE_EXHAUSTED"):
            raise
        return NoRoom(axes, made.microbatch, text, time.monotonic() - start)
    seconds = time.monotonic() - start
    memory: Any = done.memory_analysis()
    module = parse(done.as_text() or "", config.execution.steps_per_dispatch)
    return CompiledProgram(
        axes=axes,
        microbatch=made.microbatch,
        arguments=memory.argument_size_in_bytes,
        aliased=memory.alias_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        peak=memory.peak_memory_in_bytes,
        collectives=module.collectives,
        unknown_loops=module.unknown_loops,
        seconds=seconds,
    )


def _config(path: Path) -> RunConfig:
    return from_record(read_file(path, StoredConfig), str(path))


def main(arguments: list[str]) -> int:
    """Exit codes: 0 compiled, or found not to fit; 2 the user's mistake."""
    source, name, result = arguments

    def command() -> int:
        write(outcome(_config(Path(source)), topology(name)), Path(result))
        return 0

    return exit_code(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
