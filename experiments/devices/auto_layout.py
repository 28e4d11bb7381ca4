"""The layout of a run on given chips: its own, settled, or the quickest that fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from experiments.config.run import RunConfig
from experiments.devices.resolve import resolve, step_of
from experiments.runs.job import Event, Job
from scaling.machines.chips import GIB, Chip, of_device
from scaling.machines.choose_layout import Choice, Question
from scaling.machines.layout import Layout


def choose(config: RunConfig, chip: Chip, devices: int) -> Choice:
    """What `execution.layout` comes to, and the microbatch where that is left open.

    Raises:
        UserError: it does not divide the run, nothing fits, or the chip lacks the precision.
    """
    science, execution = config.science, config.execution
    sequences = science.batch.sequences
    divisors = tuple(n for n in range(1, sequences + 1) if sequences % n == 0)
    alone = replace(config, execution=replace(execution, layout=Layout()))
    question = Question(
        science.model.dims(science.batch.seq_len),
        step_of(science, resolve(alone, chip.platform)),
        (execution.microbatch,) if execution.microbatch else divisors,
        chip,
        science.precision,
    )
    if execution.layout.name == "auto":
        return question.auto(devices)
    return question.best([execution.layout.over(devices)])


def settle(job: Job, watch: Callable[[Event], None]) -> Job:
    """The job with an `auto` layout settled for JAX's devices; `watch` hears which, and why.

    Raises:
        UserError: nothing fits, or the devices are of no kind whose figures are known.
    """
    import jax

    config = job.run.config
    if config.execution.layout.name != "auto":
        return job
    devices = jax.devices()
    choice = choose(config, of_device(devices[0].device_kind), len(devices))
    best = choice.best
    why = f"{best.bytes / GIB:.1f} GiB a device, bound by {best.roofline.bound}"
    if choice.others:
        slower = choice.others[0].roofline.seconds / best.roofline.seconds
        why += f"; next best {choice.others[0].name}, {slower:.2f} times the step"
    note = f"{job.run.run_id}: layout {best.name}, microbatch {best.step.microbatch}: {why}"
    watch(Event(job.run.run_id, "compiling", note=note))
    execution = replace(config.execution, layout=best.layout, microbatch=best.step.microbatch)
    return replace(job, run=replace(job.run, config=replace(config, execution=execution)))
