"""1911 dense runs on learning-rate by batch grids in 17 cells of (N, D), by Li et al. 2025.

Columns: params_nonembedding, tokens, flops_6nd, lr, batch_tokens (sequences of 2048), steps, width,
depth, ffn, heads, loss (smoothed, nats/token: the one that the authors fit), final_step_loss (the
last raw value), diverged (loss above 4). `BOOTSTRAP` is the authors' own 1000 fits: ln lr =
lr_intercept + lr_coefN ln N + lr_coefD ln D, and ln batch_tokens = bs_intercept + bs_coefD ln D.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

RUNS = "raw/dense_lr_bs_loss.csv"
FITS = "raw/1004_fitted_lr_bs_scaling_model_parameters.csv"
SEQ_LEN = 2048
DIVERGED = 4.0  # nats/token: the good runs of every cell lie below 2.7


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[RUNS])
    params, tokens = raw["N"].astype(float), raw["D"].astype(float)  # 6 N D overflows integers
    return pd.DataFrame(
        {
            "run_id": raw["exp_name"],
            "params_nonembedding": params,
            "tokens": tokens,
            "flops_6nd": 6 * params * tokens,
            "lr": raw["lr"],
            "batch_tokens": raw["bs"].astype(float) * SEQ_LEN,
            "steps": raw["ti"],
            "width": raw["h"],
            "depth": raw["numl"],
            "ffn": raw["ffnh"],
            "heads": raw["numh"],
            "loss": raw["smooth loss"],
            "final_step_loss": raw["loss"],
            "diverged": raw["smooth loss"] > DIVERGED,
        }
    )


def _parse_bootstrap(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(files[FITS])


_PAPER = "Li et al. 2025, Predictable Scale: Part I (arXiv 2503.04715)"
_LICENCE = "none stated in the repository"
_REPOSITORY, _COMMIT = "step-law/steplaw", "32a8f4cc50247695fb56cc6c9117abdf67c97763"

DATASET = Dataset(
    name="steplaw",
    paper=_PAPER,
    licence=_LICENCE,
    repository=_REPOSITORY,
    commit=_COMMIT,
    files=(
        TableFile(
            RUNS,
            "9e46181076c04d450294d75dfe6f72adc416e231e154a07b337e378f9410002c",
            "data/dense_lr_bs_loss.csv",
        ),
    ),
    parse=_parse,
    caveats=(
        "181 runs diverged or did very poorly (loss above 4, up to 11.1)",
        "the cell of 1.07B parameters and 56.9B tokens has 47 runs, the others about 120",
        "D is as planned and rounded: steps * batch differs from it by up to 0.22 %",
    ),
)

BOOTSTRAP = Dataset(
    name="steplaw",
    paper=_PAPER,
    licence=_LICENCE,
    repository=_REPOSITORY,
    commit=_COMMIT,
    files=(
        TableFile(
            FITS,
            "2252afbba5530e6ba6167e8101bd2b9082a018a58cb5922cc8672891a7f4336c",
            "data/1004_fitted_lr_bs_scaling_model_parameters.csv",
        ),
    ),
    parse=_parse_bootstrap,
    caveats=("these fits are not those of the released runs: their data are not released",),
)
