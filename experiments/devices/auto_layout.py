"""The layout of a run on given chips: its own, settled, or the quickest that fits."""

from __future__ import annotations

from dataclasses import replace

from experiments.config.run import RunConfig
from experiments.devices.resolve import resolve, step_of
from scaling.machines.chips import Chip
from scaling.machines.choose_layout import LayoutProblem, LayoutRanking
from scaling.machines.layout import Layout


def choose(config: RunConfig, chip: Chip, devices: int, members: int = 1) -> LayoutRanking:
    """The layouts of a run, best first, each with its microbatch.

    Args:
        members: such runs in one program.

    Raises:
        UserError: it does not divide the run, nothing fits, or the chip lacks the precision.
    """
    execution = config.execution
    question = _problem(config, chip, members)
    if execution.layout.name == "auto":
        return question.auto(devices)
    return question.best([execution.layout.over(devices)])


def together(config: RunConfig, chip: Chip, devices: int, runs: int) -> LayoutRanking:
    """The number of such runs to train in one program, and their layout; errors as `choose`."""
    return _problem(config, chip, 1).together(devices, runs)


def _problem(config: RunConfig, chip: Chip, members: int) -> LayoutProblem:
    science, execution = config.science, config.execution
    sequences = science.batch.sequences
    divisors = tuple(n for n in range(1, sequences + 1) if sequences % n == 0)
    alone = replace(config, execution=replace(execution, layout=Layout()))
    problem = LayoutProblem(
        science.model.dims(science.batch.seq_len),
        step_of(science, resolve(alone, chip.platform)),
        (execution.microbatch,) if execution.microbatch else divisors,
        chip,
        science.precision,
        members=members,
    )
    kernel = execution.program.attention
    if kernel == "auto" and science.model.separator >= 0:
        kernel = "xla"
    if kernel == "auto":
        return problem
    return replace(problem, along=(kernel,))
