"""Does a student reach a loss sooner with a teacher than alone?

    windtunnel run distillation          # CPU, 2 free cores
    windtunnel report runs/distillation

A student of each width is trained alone at three budgets, the curve to beat, and with a teacher of
each width, at each share of the middle budget; once with both teachers' mean logits. The report
gives the speed-up at equal compute, with the teacher's training and forward passes left out, shared
among its students, or in full. Busbridge et al. 2025 (arXiv:2502.08606) give a law of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.config.overrides import assign
from experiments.config.run import EvaluationConfig, RunConfig
from experiments.plan import derived
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from experiments.studies import _base
from models.config import TransformerConfig
from models.shapes import plain
from scaling.counting.formulas import params_total

BUDGETS = (0.5, 1.0, 2.0)  # of a student alone, in units of `ratio` tokens per parameter
SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Scale(_base.Size):
    """One size of the study: the same design, other numbers."""

    students: tuple[int, ...]  # widths
    teachers: tuple[int, ...]
    ratio: float  # tokens per parameter of the middle budget, and of a teacher
    windows: int = 512


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        **_base.CPU,
        students=(16, 24, 32),
        teachers=(32, 48),
        ratio=20,
    ),
    "gpu": Scale(
        **_base.GPU,
        students=(128, 192, 256),
        teachers=(256, 512),
        ratio=20,
    ),
}


def study(
    scale: Literal["cpu", "gpu"] = "cpu",
    share: float = 0.5,
    temperature: float = 1.0,
    shares: tuple[float, ...] = (0.5, 1.0),
    students: tuple[int, ...] = (),
    teachers: tuple[int, ...] = (),
    ratio: float | None = None,
    repeats: int = 2,
    seed: int = 0,
) -> Study:
    """Students alone and taught; `share` of the divergence in the objective, `shares` of tokens.

    Widths that are not given are those of the scale.
    """
    s = SCALES[scale]
    base = _base.base(s, evaluation=EvaluationConfig(windows=s.windows))

    def planned(width: int, rung: int, budget: float, number: int, label: str = "") -> Run:
        model = plain(width, s.layers, s.head_dim)
        tokens = budget * (s.ratio if ratio is None else ratio)
        tokens *= params_total(model.dims(s.batch.seq_len))
        found = assign(base, {"model": model, "seed": number, "budget.tokens": round(tokens)})
        return Run(found, rung, StudyPart.FIT if label else StudyPart.TRUNK, label=label)

    lesson: dict[str, Any] = {"share": share, "temperature": temperature}
    runs: list[Run] = []
    for number in range(SEEDS * seed, SEEDS * seed + repeats):
        # another seed than the students', so that none is its own student's twin
        those = [planned(width, 0, 1.0, number + SEEDS // 2) for width in teachers or s.teachers]
        runs += those
        for rung, width in enumerate(students or s.students):
            alone = [planned(width, rung, budget, number, label="scratch") for budget in BUDGETS]
            runs += [*alone, *_taught(those, alone[1].config, rung, shares, lesson)]
    return Study(
        name="distillation",
        question="Does a student reach a loss sooner with a teacher than alone?",
        runs=tuple(runs),
        law=None,
        reading="distillation",
    )


def _taught(
    teachers: list[Run],
    alone: RunConfig,
    rung: int,
    shares: tuple[float, ...],
    lesson: Mapping[str, Any],
) -> Iterator[Run]:
    """The students of each teacher and of all, at shares of the tokens of `alone`."""
    classes: dict[str, tuple[Run, ...]] = {
        f"teacher of width {run.config.science.model.width}": (run,) for run in teachers
    }
    if len(teachers) > 1:
        classes["both teachers"] = tuple(teachers)
    model: TransformerConfig = alone.science.model
    for name, of in classes.items():
        for share in shares:
            yield derived(
                of,
                "distill",
                label=f"{name}, {share:g} of the tokens",
                rung=rung,
                part=StudyPart.FIT,
                model=model,
                seed=alone.science.seed,
                tokens=round(share * alone.science.budget.tokens),
                **lesson,
            )
