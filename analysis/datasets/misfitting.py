"""240 runs of Li et al. 2025 at 11 sizes and several learning rates, with their checkpoints.

One row per checkpoint. Columns: run_id, params_total, params_nonembedding, tokens, flops_6nd =
6 params_total tokens, loss (nats/token, C4 evaluation), learning_rate (peak), steps, total_steps,
progress (share of the run), is_final.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

CHECKPOINTS = "raw/scaling_results.csv"


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[CHECKPOINTS])
    length, rate = raw["total_steps"].astype(str), raw["peak_lr"].astype(str)
    # 6 N D exceeds int64 at the largest sizes, so the product is of floats
    return pd.DataFrame(
        {
            "run_id": raw["model"] + "_T" + length + "_lr" + rate + "_" + raw["sweep"],
            "params_total": raw["N"],
            "params_nonembedding": raw["N_no_emb"],
            "tokens": raw["D"],
            "flops_6nd": 6.0 * raw["N"] * raw["D"],
            "loss": raw["loss"],
            "learning_rate": raw["peak_lr"],
            "steps": raw["current_steps"],
            "total_steps": raw["total_steps"],
            "progress": raw["portion_steps_elapsed"],
            "is_final": raw["portion_steps_elapsed"] >= 1,
        }
    )


DATASET = Dataset(
    name="misfitting",
    paper="Li, Kudugunta and Zettlemoyer 2025, (Mis)Fitting (arXiv 2502.18969)",
    licence="none stated in the repository",
    repository="hadasah/scaling_laws",
    commit="1f3708c0a12df0effb0ee906b1da5f9f0ff4f4f1",
    files=(
        TableFile(
            CHECKPOINTS,
            "193b4b7665365112605417e2ef06d55efe599cfa08412354e3ae42c3af7a9f58",
            "data/scaling_results.csv",
        ),
    ),
    parse=_parse,
    caveats=(
        "263 final rows of 240 runs: some were evaluated twice at the end",
        "learning rates were swept at most (N, D): the runs of a cell differ by them",
        "E is not identified on this range; the paper's message is that the fit is unstable",
    ),
)
