"""What "as suits the device" means: the settings of a program that are left to its platform.

On a CPU small microbatches keep activations in cache; see benchmarks/.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from experiments.config.run import Execution, RunConfig, Science
from scaling.common.errors import UserError
from scaling.machines import memory
from scaling.machines.layout import BATCH, Layout
from scaling.machines.memory import Step

BACKWARD: Mapping[str, Literal["plain", "barrier"]] = {
    "cpu": "barrier",
    "gpu": "plain",
    "tpu": "plain",
}
MICROBATCH_TOKENS = {"cpu": 256, "gpu": 2**20, "tpu": 2**20}
# Of one device's activations, by formula: a part that all chips of its kind can spare
ACTIVATION_BYTES = {"cpu": math.inf, "gpu": 2**34, "tpu": 2**32}
COMPUTE_BYTES = {"float32": 4, "bfloat16": 2}
# Of one device's logits in float32. A chunk of this size is products enough to keep it busy
LOGITS_BYTES = {"cpu": math.inf, "gpu": 2**30, "tpu": 2**28}

Attention = Literal["barrier", "xla", "cudnn", "splash"]
# The first that can do it; xla always can.
ATTENTION: Mapping[str, tuple[Attention, ...]] = {
    "cpu": ("barrier", "xla"),
    "gpu": ("cudnn", "xla"),
    "tpu": ("splash", "xla"),
}


def _whole_sequences(config: RunConfig, _: str) -> bool:
    return config.execution.layout.sequence <= 1


NEEDS: Mapping[Attention, Mapping[str, Callable[[RunConfig, str], bool]]] = {
    "barrier": {"execution.layout.name=single": lambda c, _: c.execution.layout.name == "single"},
    "xla": {},
    "cudnn": {
        "a GPU": lambda _, platform: platform == "gpu",
        "precision=bfloat16": lambda c, _: c.science.precision == "bfloat16",
        "a model.head_dim of at most 128 that 8 divides": lambda c, _: (
            c.science.model.head_dim <= 128 and c.science.model.head_dim % 8 == 0
        ),
        "execution.layout.sequence=1": _whole_sequences,
    },
    "splash": {
        "a TPU": lambda _, platform: platform == "tpu",
        "a batch.seq_len that 128 divides": lambda c, _: c.science.batch.seq_len % 128 == 0,
        "execution.layout.sequence=1": _whole_sequences,
    },
}


def lacks(attention: Attention, config: RunConfig, platform: str) -> str | None:
    """The first need of an attention that is not met there."""
    needs = NEEDS[attention].items()
    return next((need for need, met in needs if not met(config, platform)), None)


def check(config: RunConfig, *platforms: str) -> None:
    """What was chosen by name can be done on one of the platforms.

    Raises:
        UserError: it cannot.
    """
    chosen = config.execution.program.attention
    if chosen == "auto":
        return
    missing = [lacks(chosen, config, platform) for platform in platforms]
    if all(missing):
        raise UserError(
            f"execution.program.attention={chosen}: needs {missing[0]}; "
            "set execution.program.attention=auto"
        )


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
    if program.attention == "auto":
        able = (a for a in ATTENTION[platform] if not lacks(a, config, platform))
        program = replace(program, attention=next(able))
    execution = replace(execution, program=program, layout=layout)
    execution = replace(
        execution, microbatch=execution.microbatch or _microbatch(config, execution, platform)
    )
    if not program.logits_chunks:
        numbers = execution.microbatch * batch.seq_len * config.science.model.vocab_size
        own = 4 * numbers / (layout.devices // layout.sizes["stage"])
        chunks = _divisor(batch.seq_len, own / LOGITS_BYTES[platform])
        program = replace(program, logits_chunks=chunks)
    return replace(execution, program=program)


def _microbatch(config: RunConfig, execution: Execution, platform: str) -> int:
    """The largest that suits the device, or else the smallest that can be shared out."""
    science, layout = config.science, execution.layout
    batch, least = science.batch, math.prod(_shares(layout).values())
    fitting = least * max(1, MICROBATCH_TOKENS[platform] // batch.seq_len)
    dims, best = science.model.dims(batch.seq_len), least
    for m in range(least, min(batch.sequences, fitting) + 1, least):
        step = step_of(science, replace(execution, microbatch=m))
        if memory.activations(dims, step, layout) > ACTIVATION_BYTES[platform]:
            break
        if batch.sequences % m == 0:
            best = m
    return best


def step_of(science: Science, execution: Execution) -> Step:
    """What the memory and the time of a step depend on, of an execution with nothing left open."""
    assert execution.program.attention != "auto"
    return Step(
        sequences=science.batch.sequences,
        microbatch=execution.microbatch,
        steps=execution.steps_per_dispatch,
        state_copies=science.state_copies,
        compute_bytes=COMPUTE_BYTES[science.precision],
        attention=execution.program.attention,
        remat=execution.program.remat,
        logits_chunks=execution.program.logits_chunks,
    )


def _divisor(n: int, least: float) -> int:
    """The smallest divisor of n that is at least so much."""
    return next(d for d in range(1, n + 1) if n % d == 0 and (d >= least or d == n))


def _shares(layout: Layout) -> dict[str, int]:
    """Into what a microbatch is cut: the parts of a pipeline, and each over devices."""
    shares = {axis: layout.sizes[axis] for axis in BATCH} | {"parts": layout.parts}
    return {name: n for name, n in shares.items() if n > 1}


def _check(config: RunConfig, layout: Layout) -> None:
    """What is shared out divides by those who share it; of weights, models.layout says so."""
    science, sizes = config.science, layout.sizes
    microbatch = config.execution.microbatch or science.batch.sequences
    if sizes["expert"] > 1 and not science.model.experts:
        raise UserError(
            f"execution.layout.expert={layout.expert}: a dense model has no experts to share out; "
            "set model.experts, or choose another layout"
        )
    if sizes["stage"] > 1 and science.model.experts:
        raise UserError(
            f"execution.layout.stage={layout.stage}: stages hand on no more than the stream, and "
            "routers have losses of their own; choose the layout expert"
        )
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
