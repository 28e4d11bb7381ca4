"""245 runs of Hoffmann et al. 2022, read from the colours of their Fig. 4 by Besiroglu et al. 2024.

Columns: params_total, flops_6nd, tokens = flops_6nd / (6 params_total), loss (nats/token, smoothed
training loss, as quantised as the colours of the figure).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

POINTS = "raw/svg_extracted_data.csv"


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[POINTS])
    table = pd.DataFrame(
        {
            "run_id": [f"point{at}" for at in range(len(raw))],
            "params_total": raw["Model Size"],
            "tokens": raw["Training FLOP"] / (6 * raw["Model Size"]),
            "flops_6nd": raw["Training FLOP"],
            "loss": raw["loss"],
        }
    )
    return table[table["loss"].notna()].reset_index(drop=True)


DATASET = Dataset(
    name="chinchilla_epoch",
    paper="Hoffmann et al. 2022 (arXiv 2203.15556), Fig. 4; Besiroglu et al. 2024 "
    "(arXiv 2404.10102)",
    licence="none stated; facts read from a figure",
    repository="epoch-research/analyzing-chinchilla",
    commit="92258837425e1b5f2851d624287f0120583a3d0e",
    files=(
        TableFile(
            POINTS,
            "193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30",
            "data/svg_extracted_data.csv",
        ),
    ),
    parse=_parse,
    caveats=(
        "losses are decoded from colours, so they are quantised",
        "the 5 highest losses are left out by the published fit, and it rests on that",
    ),
)
