"""16 compute optima of Nguyen et al. 2024 (Evo): four architectures at four budgets of DNA models.

Columns: run_id, architecture, flops_budget, params_optimal and tokens_optimal, each the minimum of
an IsoFLOP curve, read from Fig. S5 with its own flops_params or flops_tokens. No losses were read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

OPTIMA = "raw/evo_scaling_data.csv"


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[OPTIMA])
    key = ["model", "budget"]
    wide = raw.pivot(index=key, columns="variable", values=["flops", "value"])
    names = wide.index.to_frame(index=False)
    return pd.DataFrame(
        {
            "run_id": names["model"] + "_budget" + names["budget"].astype(str),
            "architecture": names["model"],
            "flops_budget": wide["flops", "params"].to_numpy(),
            "flops_params": wide["flops", "params"].to_numpy(),
            "flops_tokens": wide["flops", "tokens"].to_numpy(),
            "params_optimal": wide["value", "params"].to_numpy(),
            "tokens_optimal": wide["value", "tokens"].to_numpy(),
        }
    )


DATASET = Dataset(
    name="evo_isoflop",
    paper="Nguyen et al. 2024, Evo (bioRxiv 2024.02.27.582234), Fig. S5",
    licence="none stated in the repository; facts read from a figure",
    repository="eric-czech/evo-scaling-law-extraction",
    commit="96df4ece4fccc101fca439d89931613afe8d8405",
    files=(
        TableFile(
            OPTIMA,
            "8bf7b22e338a8d073a8408b375e5f78eea778cd9b09adf0f6ff75ab46449f617",
            "outputs/evo_scaling_data.csv",
        ),
    ),
    parse=_parse,
    caveats=(
        "optima alone: the runs of the IsoFLOP curves were not read, so there is no loss",
        "6 N D of an optimum is 0.24 to 0.97 times its budget: the authors count FLOPs otherwise",
    ),
)
