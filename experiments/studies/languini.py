"""Which family has the lower loss at equal time of one core, and from how many hours on?

    windtunnel run languini --set stage=measure --workers 1         # the speed of each model, alone
    windtunnel run languini --workers 1   # with --set measured and the folder of the measured runs
    windtunnel report runs/languini

A compute class is a time. A run has the tokens that its model trains on in that time, by the speed
that it had alone on one core (Stanic et al. 2023, arXiv:2309.11197: 6 to 96 hours of one GPU), its
compilation left out. The loss of a class is that of its best size. Families and their rates are
those of `families`. Without `measured` a core is taken to do 1e10 FLOP/s, which is a plan and no
measurement. A core that is four times as fast may draw tokens of the corpus again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from experiments.config.data import DataConfig
from experiments.config.run import BudgetConfig, EvaluationConfig, RunConfig
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import METRICS, RunSummary, Status, read, read_rows
from experiments.studies._base import Size, base
from experiments.studies.families import FAMILIES, model
from experiments.studies.hestness import CHOSEN, CPU
from scaling.common.errors import UserError
from scaling.counting.formulas import flops_model

ASSUMED = 1e10  # FLOP/s of a core
MEASURING = 2**19  # tokens
EPOCHS = 4  # at most; published as nearly as good as fresh text


@dataclass(frozen=True)
class Scale:
    """One size of the study: the same design, other numbers.

    Attributes:
        minutes: of one core, the compute classes.
    """

    size: Size
    widths: tuple[int, ...]
    minutes: tuple[float, ...]


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(CPU, (16, 24, 32), (0.1, 0.2, 0.4, 0.8, 1.6)),
    "quick": Scale(CPU, (16, 24), (0.05, 0.1, 0.2, 0.4)),
}


def study(
    scale: Literal["cpu", "quick"] = "cpu",
    stage: Literal["classes", "measure"] = "classes",
    measured: str = "",
    seed: int = 0,
) -> Study:
    """Every size of both families in every class, or a short run of each to measure its speed."""
    s = SCALES[scale]
    question = "Which family has the lower loss at equal time of one core?"
    every = [(name, width) for name in CHOSEN for width in s.widths]
    if stage == "measure":
        runs = tuple(
            Run(_config(s, name, width, MEASURING, seed), 0, label=name) for name, width in every
        )
        return Study("languini_measure", question, runs, law=None)
    speeds = _measured(Path(measured)) if measured else {}
    batch, found = s.size.batch.sequences * s.size.batch.seq_len, []
    for rung, minutes in enumerate(s.minutes):
        for name, width in every:
            speed = _speed(s, name, width, speeds, measured)
            tokens = max(1, int(speed * 60 * minutes / batch)) * batch
            found.append(Run(_config(s, name, width, tokens, seed), rung, label=name))
    return Study("languini", question, tuple(found), law=None, reading="languini")


def _speed(
    s: Scale, family: str, width: int, speeds: Mapping[tuple[str, int], float], folder: str
) -> float:
    """Tokens per second of a model alone on one core."""
    if not speeds:
        return ASSUMED / flops_model(model(family, width).dims(s.size.batch.seq_len))
    if (family, width) not in speeds:
        raise UserError(
            f"--set measured={folder}: no finished run of {family} at width {width}; run languini "
            "with stage=measure"
        )
    return speeds[family, width]


def _measured(folder: Path) -> dict[tuple[str, int], float]:
    """Tokens per second of the runs of a folder after their first row, by family and width.

    Raises:
        UserError: it has none.
    """
    found = {}
    for path in sorted(folder.glob("*/summary.json")):
        summary = read(path.parent, RunSummary)
        rows = read_rows(path.parent / METRICS)
        reached = [(row.tokens, row.seconds) for row in rows if row.seconds is not None]
        if summary.status is Status.COMPLETED and len(reached) > 1:
            (before, start), (after, end) = reached[0], reached[-1]
            speed = (after - before) / (end - start)
            found[summary.label, int(summary.science["model"]["width"])] = speed
    if not found:
        raise UserError(
            f"--set measured={folder}: no finished runs; run languini with stage=measure first"
        )
    return found


def _config(s: Scale, family: str, width: int, tokens: int, seed: int) -> RunConfig:
    found = base(
        replace(s.size, learning_rate=2.0 ** FAMILIES[family].log2_rate),
        model=model(family, width),
        budget=BudgetConfig(tokens),
        data=DataConfig(epochs=EPOCHS),
        evaluation=EvaluationConfig(windows=1024),
        seed=seed,
    )
    return replace(found, execution=replace(found.execution, runs_per_program=1))
