"""What "as suits the device" means: the settings of a program that are left to its platform.

On a CPU small microbatches keep activations in cache; see benchmarks/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from experiments.config import Execution, RunConfig

BACKWARD: Mapping[str, Literal["plain", "barrier"]] = {
    "cpu": "barrier",
    "gpu": "plain",
    "tpu": "plain",
}
MICROBATCH_TOKENS = {"cpu": 256, "gpu": 2**20, "tpu": 2**20}


def resolve(config: RunConfig, platform: str) -> Execution:
    """The execution with nothing of its program left open on "cpu", "gpu" or "tpu"."""
    batch, execution = config.science.batch, config.execution
    program = execution.program
    if program.backward == "auto":
        program = replace(program, backward=BACKWARD[platform])
    fitting = max(1, MICROBATCH_TOKENS[platform] // batch.seq_len)
    divisors = (m for m in range(1, batch.sequences + 1) if batch.sequences % m == 0)
    microbatch = execution.microbatch or max(m for m in divisors if m <= fitting)
    return replace(execution, program=program, microbatch=microbatch)
