"""What "as suits the device" means: the settings of a program that are left to its platform.

On a CPU small microbatches keep activations in cache; see benchmarks/.
"""

from __future__ import annotations

import math
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
    _check(config, layout)
    if layout.stage > 1:
        # what a stage holds is a part of a stack; stacked layers compute what unrolled ones do
        program = replace(program, layers="scan")
    if program.backward == "auto":
        # what suits one core's cache is nothing to a partitioned program
        backward = BACKWARD[platform] if layout.devices == 1 else "plain"
        program = replace(program, backward=backward)
    least = math.prod(_shares(layout).values())
    fitting = least * max(1, MICROBATCH_TOKENS[platform] // batch.seq_len)
    divisors = (m for m in range(least, batch.sequences + 1, least) if batch.sequences % m == 0)
    microbatch = execution.microbatch or max(m for m in divisors if m <= fitting)
    return replace(execution, program=program, layout=layout, microbatch=microbatch)


def _shares(layout: Layout) -> dict[str, int]:
    """Into what a microbatch is cut: the parts of a pipeline, and each over devices."""
    shares = {axis: layout.sizes[axis] for axis in BATCH} | {"parts": layout.parts}
    return {name: n for name, n in shares.items() if n > 1}


def _check(config: RunConfig, layout: Layout) -> None:
    """What is shared out divides by those who share it; of weights, models.layout says so."""
    science, sizes = config.science, layout.sizes
    microbatch = config.execution.microbatch or science.batch.sequences
    for name, whole, shares in (
        ("model.layers", science.model.layers, {"stage": sizes["stage"]}),
        ("batch.sequences", science.batch.sequences, _shares(layout)),
        ("execution.microbatch", microbatch, _shares(layout)),
        ("batch.seq_len", science.batch.seq_len, {"sequence": sizes["sequence"]}),
    ):
        ways = math.prod(shares.values())
        if whole % ways:
            by = " x ".join(f"{share}={n}" for share, n in shares.items())
            raise UserError(
                f"{name}={whole} does not divide by {ways} ({by} of execution.layout); "
                f"set it to a multiple of {ways}, or change the layout"
            )
