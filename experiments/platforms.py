"""What "as suits the device" means: the settings of a program that are left to its platform.

On a CPU small microbatches keep activations in cache; see benchmarks/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from experiments.config import Execution, RunConfig, Science
from scaling.errors import UserError

BACKWARD: Mapping[str, Literal["plain", "barrier"]] = {
    "cpu": "barrier",
    "gpu": "plain",
    "tpu": "plain",
}
MICROBATCH_TOKENS = {"cpu": 256, "gpu": 2**20, "tpu": 2**20}

Attention = Literal["barrier", "xla", "cudnn", "splash"]
# The first that can do it; the last can do anything.
ATTENTION: Mapping[str, tuple[Attention, ...]] = {
    "cpu": ("barrier",),
    "gpu": ("cudnn", "xla"),
    "tpu": ("splash", "xla"),
}
NEEDS: Mapping[Attention, Mapping[str, Callable[[Science, str], bool]]] = {
    "barrier": {},
    "xla": {},
    "cudnn": {
        "a GPU": lambda _, platform: platform == "gpu",
        "precision=bfloat16": lambda s, _: s.precision == "bfloat16",
        "a model.head_dim of at most 128 that 8 divides": lambda s, _: (
            s.model.head_dim <= 128 and s.model.head_dim % 8 == 0
        ),
    },
    "splash": {
        "a TPU": lambda _, platform: platform == "tpu",
        "a batch.seq_len that 128 divides": lambda s, _: s.batch.seq_len % 128 == 0,
    },
}


def lacks(attention: Attention, science: Science, platform: str) -> str | None:
    """The first need of an attention that is not met there."""
    needs = NEEDS[attention].items()
    return next((need for need, met in needs if not met(science, platform)), None)


def check(config: RunConfig, *platforms: str) -> None:
    """What was chosen by name can be done on one of the platforms.

    Raises:
        UserError: it cannot.
    """
    chosen = config.execution.program.attention
    if chosen == "auto":
        return
    missing = [lacks(chosen, config.science, platform) for platform in platforms]
    if all(missing):
        raise UserError(
            f"execution.program.attention={chosen}: needs {missing[0]}; "
            "set execution.program.attention=auto"
        )


def resolve(config: RunConfig, platform: str) -> Execution:
    """The execution with nothing of its program left open on "cpu", "gpu" or "tpu"."""
    batch, execution = config.science.batch, config.execution
    program = execution.program
    if program.backward == "auto":
        program = replace(program, backward=BACKWARD[platform])
    if program.attention == "auto":
        able = (a for a in ATTENTION[platform] if not lacks(a, config.science, platform))
        program = replace(program, attention=next(able))
    fitting = max(1, MICROBATCH_TOKENS[platform] // batch.seq_len)
    divisors = (m for m in range(1, batch.sequences + 1) if batch.sequences % m == 0)
    microbatch = execution.microbatch or max(m for m in divisors if m <= fitting)
    return replace(execution, program=program, microbatch=microbatch)
