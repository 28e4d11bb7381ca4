"""429 finished IsoFLOP runs of Llama and mLSTM models at three context lengths (Beck et al. 2025).

Columns: run_id, architecture, context (tokens), budget (the authors' label), params_total, tokens,
flops_6nd, loss (nats/token, DCLM validation), diverged (loss above 4), learning_rate, batch_tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

RUNS = "tidy.csv"
DIVERGED = 4.0


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[RUNS])
    raw = raw[raw["finished"]].reset_index(drop=True)
    return pd.DataFrame(
        {
            "run_id": raw["run_id"],
            "architecture": raw["arch"],
            "context": raw["seq_len"],
            "budget": raw["isoflop_tag"],
            "params_total": raw["params_total"],
            "tokens": raw["tokens"],
            "flops_6nd": 6.0 * raw["params_total"] * raw["tokens"],
            "loss": raw["loss"],
            "diverged": raw["loss"] > DIVERGED,
            "learning_rate": raw["lr"],
            "batch_tokens": raw["batch_tokens"],
        }
    )


DATASET = Dataset(
    name="xlstm_isoflop",
    paper="Beck et al. 2025, xLSTM Scaling Laws (arXiv 2510.02228)",
    licence="none stated in the repository",
    repository="NX-AI/xlstm_scaling_laws",
    commit="604bb3062d3a7681bb33e467108cb0a6f81267fc",
    files=(
        TableFile(RUNS, "9ad048f4e541753e65777b2322a222a4fe160d97460191bf43bf548759a5af77", None),
    ),
    parse=_parse,
    caveats=(
        "mLSTM at contexts of 2048 and most of 8192, and all runs at fixed tokens per parameter, "
        "were not released",
        "the authors count FLOPs exactly: runs of one budget differ in 6 N D",
        "one run, dclm_llama_400M_ctx8192_lr0.003_steps8600, finished twice, with 3.068 and 2.951",
    ),
)
