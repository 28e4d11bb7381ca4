"""The layout of a run on given chips: its own, settled, or the quickest that fits."""

from __future__ import annotations

from dataclasses import replace

from experiments.config.run import RunConfig
from experiments.devices.resolve import resolve, step_of
from scaling.machines.chips import Chip
from scaling.machines.choose_layout import LayoutProblem, LayoutRanking
from scaling.machines.layout import Layout


def choose(config: RunConfig, chip: Chip, devices: int) -> LayoutRanking:
    """The layouts of a run, best first, each with its microbatch.

    Raises:
        UserError: it does not divide the run, nothing fits, or the chip lacks the precision.
    """
    science, execution = config.science, config.execution
    sequences = science.batch.sequences
    divisors = tuple(n for n in range(1, sequences + 1) if sequences % n == 0)
    alone = replace(config, execution=replace(execution, layout=Layout()))
    question = LayoutProblem(
        science.model.dims(science.batch.seq_len),
        step_of(science, resolve(alone, chip.platform)),
        (execution.microbatch,) if execution.microbatch else divisors,
        chip,
        science.precision,
        *(() if execution.program.attention == "auto" else ((execution.program.attention,),)),
    )
    if execution.layout.name == "auto":
        return question.auto(devices)
    return question.best([execution.layout.over(devices)])
