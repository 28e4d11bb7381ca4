"""The study of learning rate and batch, small enough for a test: four cells, and one held out.

The held-out cell has more tokens and a program that is compiled already.
"""

from __future__ import annotations

from experiments.plan.study import Study
from experiments.studies.hyperparameter_law import Scale, Settings, grids

TINY = Scale(
    layers=1,
    head_dim=8,
    seq_len=4,
    windows=256,
    widths=(8, 16),
    tokens=(4096, 8192),
    settings=Settings((1, 4, 16), range(-8, -2, 2)),
    held_out=(16, 16384),
    held_out_settings=Settings((4,), range(-6, 0, 3)),
    precision="float32",
)


def study(seed: int = 0) -> Study:
    return grids(TINY, seed)
