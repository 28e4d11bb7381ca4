"""Which number of repeats hurts most? A part of the tokens is a subset, seen again and again.

    windtunnel run repeated               # CPU, 2 free cores: about 3 minutes
    windtunnel report runs/repeated

Every run has the same tokens in all (Hernandez et al. 2022, arXiv 2205.10487). A share of them is a
subset of the text that comes `repeats` times, so many repeats are of a small subset; all else is
seen once. Runs without repeats, of more sizes and with two seeds each, give the clean law L(N):
its inverse at the loss of a run with repeats is the size that it is worth, N_eff. The validation
text is never trained on.

Expected N_eff / N, half of the tokens a part that repeats, the standard library of Python 3.11:

    times             4                  16                 64                256
    10k parameters    1.07 [.73, 1.56]   0.86 [.60, 1.27]   0.46 [.31, .75]   0.22 [.13, .50]
    33k parameters    1.18 [.71, 2.63]   0.78 [.49, 1.28]   0.15 [.10, .24]   0.19 [.13, .29]

A tenth of the tokens leaves 0.78 to 1.17 of the size, with intervals that hold 1. The bigger model
loses more, and 64 repeats cost it no less than 256. Four numbers of repeats show no top of the
parabola, so the study has five. Four minutes of CPU time, on two cores shared with much other work.
"gpu" has not been run yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.config.data import DataConfig
from experiments.config.run import BatchConfig, BudgetConfig, EvaluationConfig
from experiments.plan.grids import Grid, chain, configs, grid, product, seeds
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.studies._base import Size, base
from models.shapes import plain
from scaling.machines.program import Program

AGAIN, FRESH = "again", "fresh"  # names of the two sources of the one text


@dataclass(frozen=True, kw_only=True)
class Scale(Size):
    """One size of the study: the same design, other numbers."""

    clean: tuple[int, ...]  # widths
    widths: tuple[int, ...]  # with repeats
    shares: tuple[float, ...]
    repeats: tuple[int, ...]
    tokens: int
    source: str = "stdlib"


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        layers=2,
        head_dim=8,
        clean=(8, 16, 24, 32, 40),
        widths=(16, 32),
        shares=(0.1, 0.5),
        repeats=(4, 16, 64, 256, 1024),
        tokens=393_216,
        batch=BatchConfig(sequences=8, seq_len=64),
        learning_rate=0.0088,
        base_width=32,
    ),
    "gpu": Scale(
        layers=6,
        head_dim=64,
        clean=(64, 128, 256, 384, 512),
        widths=(128, 256, 512),
        shares=(0.03, 0.1, 0.5),
        repeats=(4, 16, 64, 256, 1024),
        tokens=2**27,
        batch=BatchConfig(sequences=64, seq_len=256),
        learning_rate=4e-3,
        base_width=256,
        source="system_headers",
        precision="bfloat16",
        program=Program(layers="scan"),
    ),
}


def repeated(s: Scale, share: float, repeats: int) -> Grid:
    """The draw in which `share` of the tokens are a subset that comes `repeats` times."""
    least = s.batch.seq_len
    unique = max(least, round(share * s.tokens / repeats / least) * least)
    most = 1 + round(1.1 * share * s.tokens / unique)
    return grid(
        {
            "data.source": [DataConfig().source],
            "data.corpora": [(f"{AGAIN}={s.source}", f"{FRESH}={s.source}")],
            "data.weights": [(share, round(1 - share, 4))],
            "data.unique_tokens": [(unique, 0)],
            "data.repeats": [(most, 1)],
        }
    )


def study(scale: Literal["cpu", "gpu"] = "cpu", seed: int = 0) -> Study:
    """The clean ladder, and every size with every share and number of repeats."""
    s = SCALES[scale]
    run = base(
        s,
        budget=BudgetConfig(s.tokens),
        data=DataConfig(source=s.source),
        evaluation=EvaluationConfig(windows=2048),
    )

    def models(widths: tuple[int, ...]) -> Grid:
        return grid({"model": [plain(width, s.layers, s.head_dim) for width in widths]})

    clean = product(models(s.clean), seeds(2, 10 * seed))
    draws = chain(*(repeated(s, share, r) for share in s.shares for r in s.repeats))
    rows = product(models(s.widths), draws, grid({"seed": [10 * seed]}))
    return Study(
        name="repeated",
        question="Which number of repeats hurts most?",
        runs=(
            *(Run(config, 0, label="clean") for config in configs(run, clean)),
            *(Run(config, 1, label="repeated") for config in configs(run, rows)),
        ),
        law=None,
        reading="repeated",
        loss="loss",
    )
