"""What "as suits the device" means: the settings of a program that are left to its platform.

On a CPU small microbatches keep activations in cache; see benchmarks/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from experiments.config import Execution, RunConfig
from scaling.errors import UserError
from scaling.layout import BATCH, Layout

BACKWARD: Mapping[str, Literal["plain", "barrier"]] = {
    "cpu": "barrier",
    "gpu": "plain",
    "tpu": "plain",
}
MICROBATCH_TOKENS = {"cpu": 256, "gpu": 2**20, "tpu": 2**20}


def resolve(config: RunConfig, platform: str, devices: int | None = None) -> Execution:
    """The execution with nothing of its program left open on "cpu", "gpu" or "tpu".

    Args:
        devices: of all the processes that train the run; by default what its layout names.

    Raises:
        UserError: the layout is not that of so many devices, or does not divide the run.
    """
    batch, execution = config.science.batch, config.execution
    program, layout = execution.program, execution.layout
    if layout.name != "single":
        layout = layout.over(layout.devices if devices is None else devices)
    ways = layout.batch_ways
    _check(config, layout)
    if program.backward == "auto":
        # what suits one core's cache is nothing to a partitioned program
        backward = BACKWARD[platform] if layout.devices == 1 else "plain"
        program = replace(program, backward=backward)
    fitting = ways * max(1, MICROBATCH_TOKENS[platform] // batch.seq_len)
    divisors = (m for m in range(ways, batch.sequences + 1, ways) if batch.sequences % m == 0)
    microbatch = execution.microbatch or max(m for m in divisors if m <= fitting)
    return replace(execution, program=program, layout=layout, microbatch=microbatch)


def _check(config: RunConfig, layout: Layout) -> None:
    """What is shared out divides by those who share it; of weights, models.layout says so."""
    science, ways = config.science, layout.batch_ways
    microbatch = config.execution.microbatch or science.batch.sequences
    axes = " x ".join(f"{axis}={layout.sizes[axis]}" for axis in BATCH if layout.sizes[axis] > 1)
    if layout.sizes["expert"] > 1 and not science.model.experts:
        raise UserError(
            f"execution.layout.expert={layout.expert}: a dense model has no experts to share out; "
            "set model.experts, or choose another layout"
        )
    for name, whole, parts, by in (
        ("batch.sequences", science.batch.sequences, ways, axes),
        ("execution.microbatch", microbatch, ways, axes),
        ("batch.seq_len", science.batch.seq_len, layout.sizes["sequence"], "sequence"),
        ("model.layers", science.model.layers, layout.sizes["stage"], "stage"),
    ):
        if whole % parts:
            raise UserError(
                f"{name}={whole} does not divide by {parts} ({by} of execution.layout); "
                f"set it to a multiple of {parts}"
            )
