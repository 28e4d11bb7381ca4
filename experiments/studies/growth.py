"""Does a model grown from a small one reach a loss sooner than one trained from its start?

    windtunnel run growth                # CPU, 2 free cores: 25 minutes
    windtunnel report runs/growth

Each target is trained from its start at three budgets, the curve to beat. A model of a quarter of
its layers is trained for a share of the middle budget, grown by each operator, and trained with the
FLOPs that are left of the middle budget: total compute is equal. Rates and schedule are those of
the other arm. Du et al. 2024, arXiv:2405.15319, stack four times with a fresh optimizer and report
54.6 % for 7B parameters; docs/deriving.md has what "cpu" found. "gpu" has not been run yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.config.overrides import assign
from experiments.config.run import EvaluationConfig, RunConfig
from experiments.plan import derived
from experiments.plan.grids import first_seed
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from experiments.studies import _base
from models.shapes import plain
from scaling.counting.formulas import params_total

FACTOR = 4
OPERATORS = ("stack", "interpolate", "zero", "random")
BUDGETS = (0.5, 1.0, 2.0)  # of a target, in units of `ratio` tokens per parameter


@dataclass(frozen=True, kw_only=True)
class Scale(_base.Size):
    """One size of the study: the same design, other numbers; `layers` of a target are a multiple
    of FACTOR."""

    widths: tuple[int, ...]
    ratio: float  # tokens per parameter of the middle budget
    windows: int = 512


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        **{**_base.CPU, "layers": 8},
        widths=(16, 24, 32),
        ratio=20,
    ),
    "gpu": Scale(
        **{**_base.GPU, "layers": 12},
        widths=(128, 192, 256, 384),
        ratio=20,
    ),
}


def study(
    scale: Literal["cpu", "gpu"] = "cpu",
    shares: tuple[float, ...] = (0.05, 0.2),
    ratio: float | None = None,
    repeats: int = 2,
    seed: int = 0,
) -> Study:
    """Targets from their start and grown; `shares` of the middle budget train the small model."""
    s = SCALES[scale]
    base = assign(
        _base.base(s, evaluation=EvaluationConfig(windows=s.windows)),
        {"execution.unneeded": "freed"},
    )
    runs: list[Run] = []
    for rung, width in enumerate(s.widths):
        model = plain(width, s.layers, s.head_dim)
        dims = model.dims(s.batch.seq_len)
        tokens = (s.ratio if ratio is None else ratio) * params_total(dims)
        for number in range(first_seed(seed), first_seed(seed) + repeats):
            target = assign(base, {"model": model, "seed": number})
            scratch = [
                Run(assign(target, {"budget.tokens": round(share * tokens)}), rung, label="scratch")
                for share in BUDGETS
            ]
            runs += scratch
            for share in shares:
                runs += _grown(target, scratch[1], share, s, rung)
    return Study(
        name="growth",
        question="Does a model grown from a small one reach a loss sooner than from its start?",
        runs=tuple(runs),
        law=None,
        reading="growth",
    )


def _grown(target: RunConfig, scratch: Run, share: float, s: Scale, rung: int) -> list[Run]:
    """The small model, and its growths by each operator at the total FLOPs of `scratch`."""
    model = plain(target.science.model.width, s.layers // FACTOR, s.head_dim)
    whole = scratch.ledger["flops_model"]
    one = Run(assign(target, {"model": model, "budget.tokens": 2**20}), rung)
    small = round(share * whole * 2**20 / one.ledger["flops_model"])
    parent = Run(assign(one.config, {"budget.tokens": small}), rung, StudyPart.TRUNK)
    left = (whole - parent.ledger["flops_model"]) / whole * scratch.config.science.tokens
    return [
        parent,
        *(
            derived(
                parent,
                operator,
                label=f"{operator} after {share:g}",
                part=StudyPart.FIT,
                model=target.science.model,
                tokens=round(left),
            )
            for operator in OPERATORS
        ),
    ]
