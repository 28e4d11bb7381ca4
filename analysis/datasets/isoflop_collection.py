"""771 IsoFLOP points of Llama 3 (read from a figure), of three Marin mixtures and of Chinchilla.

One row per run. Columns: run_id, experiment, architecture, params_total, tokens, flops_budget (its
nominal budget), flops_6nd, loss and loss_kind, outlier and outlier_reason (the collector's screen).
Take one `experiment` at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

POINTS = "tidy.csv"


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[POINTS])
    return pd.DataFrame(
        {
            "run_id": raw["run_id"],
            "experiment": raw["experiment"],
            "architecture": raw["arch"],
            "params_total": raw["params_total"],
            "tokens": raw["tokens"],
            "flops_budget": raw["flops"].astype(float),
            "flops_6nd": 6.0 * raw["params_total"] * raw["tokens"],
            "loss": raw["loss"],
            "loss_kind": raw["loss_kind"],
            "outlier": raw["outlier"],
            "outlier_reason": raw["outlier_reason"],
        }
    )


DATASET = Dataset(
    name="isoflop_collection",
    paper="Llama 3 (arXiv 2407.21783), Fig. 2; Marin runs of March 2026 (Comma, DCLM, Nemotron); "
    "Hoffmann et al. 2022 (arXiv 2203.15556), as two groups read it from the figures",
    licence="none stated in the repository",
    repository="Open-Athena/scaling-law-analysis",
    commit="3e0656ee3dce1a2c89aa67691920f5eb9d30f0fc",
    files=(
        TableFile(POINTS, "e3d01748df7ea5a7646560f596ca2ac16357cf977a83b97d23524099ea2695c3", None),
    ),
    parse=_parse,
    caveats=(
        "the Llama 3 points come twice, with the loss on two scales (raw_loss, exp_loss)",
        "tokens of points read from figures follow from C = 6 N D; those of Marin were counted, "
        "and its budgets are not 6 N D",
        "the token exponent of Llama 3 comes out as 0.500 to 0.505, not as the published 0.53",
    ),
)
