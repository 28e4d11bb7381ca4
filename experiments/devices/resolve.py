"""Resolve the settings that a program leaves to its platform ("auto" and 0).

On a CPU small microbatches keep activations in cache; see benchmarks/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from experiments.config.run import Execution, RunConfig, Science
from models.config import TransformerConfig
from models.part import KernelSetting, Part, mixer, router
from scaling.common.errors import UserError
from scaling.machines import memory, placement
from scaling.machines.layout import Layout
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


def _setting(config: RunConfig, platform: str, layout: Layout) -> KernelSetting:
    s = config.science
    return KernelSetting(s.model, s.batch.seq_len, s.precision, platform, layout)


def _kernels(config: RunConfig) -> list[Part]:
    """The mixers of the model that have kernels to choose from."""
    names = dict.fromkeys(name for name, _ in config.science.model.blocks)
    return [one for one in map(mixer, names) if one.kernels]


def check(config: RunConfig, *platforms: str) -> None:
    """Check that an attention chosen by name can run on one of the platforms.

    Raises:
        UserError: it cannot.
    """
    chosen = config.execution.program.attention
    if chosen == "auto":
        return
    layout = config.execution.layout
    for part in (part for part in _kernels(config) if chosen in part.needs):
        missing = [part.lacks(chosen, _setting(config, each, layout)) for each in platforms]
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
        UserError: the layout does not have that number of devices, or does not divide the run; or
            its layers cannot be scanned.
    """
    batch, execution = config.science.batch, config.execution
    program, layout = execution.program, execution.layout
    if layout.name != "single":
        layout = layout.over(layout.devices_in_all if devices is None else devices)
    model = config.science.model
    if (program.layers == "scan" or layout.stage > 1) and not model.repeats_exactly:
        reason = "sizes by depth" if not model.alike else f"model.sharing={model.sharing}"
        reason = reason if model.recursion == "none" else f"model.recursion={model.recursion}"
        raise UserError(
            f"execution.program.layers=scan: under {reason} no layers repeat exactly, as a scan "
            "and stages need; set execution.program.layers=unrolled"
        )
    _check_stages(model, layout)
    dims = model.dims(batch.seq_len)
    microbatch = execution.microbatch or batch.sequences
    placement.check(dims, batch.sequences, microbatch, layout, program.experts)
    if layout.stage > 1:
        # a stage holds a part of a stack; stacked layers compute the same as unrolled ones
        program = replace(program, layers="scan")
    if program.backward == "auto":
        # a partitioned program gains nothing from a size for one core's cache
        backward = BACKWARD[platform] if layout.devices == 1 else "plain"
        program = replace(program, backward=backward)
    if program.attention == "auto":
        setting = _setting(config, platform, execution.layout)
        chosen = next((part.kernel(setting) for part in _kernels(config)), "xla")
        program = replace(program, attention=chosen)  # type: ignore[arg-type]
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


def _check_stages(model: TransformerConfig, layout: Layout) -> None:
    """Refuse stages where a router reads more than the residual stream, and split recursions.

    Raises:
        UserError: it is one of these.
    """
    if layout.sizes["sequence"] > 1 and model.recursion != "none":
        raise UserError(
            f"execution.layout.sequence={layout.sequence}: model.recursion={model.recursion} "
            "gathers tokens of whole sequences; choose fsdp or fsdp_tensor"
        )
    if layout.stage > 1 and model.separator >= 0:
        raise UserError(
            f"execution.layout.stage={layout.stage}: stages pass on the residual stream alone, and "
            f"model.separator={model.separator} needs the documents; choose another layout"
        )
    if layout.stage > 1 and "router" in model.reads:
        found = router(model.router)
        if found.carries or found.tokens == "read":
            raise UserError(
                f"execution.layout.stage={layout.stage}: stages pass on the residual stream alone, "
                f"and model.router={model.router} reads more; choose top_k, or the layout expert"
            )


def _microbatch(config: RunConfig, execution: Execution, platform: str) -> int:
    """The largest microbatch that suits the device, or else the smallest that divides over it."""
    science, layout = config.science, execution.layout
    batch, least = science.batch, math.prod(placement.batch_shares(layout).values())
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
    """The inputs of a step's memory and time, of an execution with nothing left open."""
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
        experts=execution.program.experts,
    )


def _divisor(n: int, least: float) -> int:
    """The smallest divisor of n that is at least `least`."""
    return next(d for d in range(1, n + 1) if n % d == 0 and (d >= least or d == n))
