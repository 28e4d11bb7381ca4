"""26 runs of Bhagia et al. 2024: four sizes at 0.5 to 10 times Chinchilla's data, two targets.

Columns: run_id, params_nonembedding, tokens, flops_6nd_nonembedding, loss (nats/token, C4),
loss_<set> on ten other validation sets, chinchilla_multiplier (nan for the targets), is_target (the
7B and 13B models that the paper predicts). Each value is that of the last step evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

RUNS = "tidy_final.csv"
TARGETS = {"peteish7_eval_anneal": "7B-4T", "peteish13_eval_final": "13B-5T"}
MEASURED = "-validation/CrossEntropyLoss"


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[RUNS])
    target = raw["run_id"].isin(list(TARGETS))
    rung = raw["chinchilla_multiplier"].notna() & raw["params_nonembedding"].notna()
    raw = raw[rung | target].reset_index(drop=True)
    params = raw["params_nonembedding"]
    tokens = raw["tokens"].fillna(raw["steps"] * raw["batch_size_in_tokens"])
    losses = {
        f"loss_{name.removesuffix(MEASURED)}": raw[name]
        for name in raw.columns
        if name.endswith(MEASURED) and not name.startswith("c4_en")
    }
    return pd.DataFrame(
        {
            "run_id": raw["run_id"].replace(TARGETS),
            "params_nonembedding": params,
            "tokens": tokens,
            "flops_6nd_nonembedding": 6 * params * tokens,
            "loss": raw["loss"],
            **losses,
            "chinchilla_multiplier": raw["chinchilla_multiplier"],
            "is_target": raw["run_id"].isin(list(TARGETS)),
        }
    )


DATASET = Dataset(
    name="olmo_ladder",
    paper="Bhagia et al. 2024, Establishing Task Scaling Laws via Compute-Efficient Model Ladders "
    "(arXiv 2412.04403)",
    licence="Apache-2.0",
    repository="allenai/OLMo-ladder",
    commit="67a3f440f787d020da35e3ca8eeae475fae754f5",
    files=(
        # collected from src/scripts/paper/data/ladder-runs/*.csv, 41 files
        TableFile(RUNS, "b7e2089ad637742b902433afae1b74615cecff8f089b0b5755815c58ebdf7443", None),
    ),
    parse=_parse,
    caveats=(
        "the targets differ from the ladder in learning rate, batch and, for 7B, a second stage",
        "runs of 1xC come twice, the second marked rerun; the paper fits 16 runs, without 0.5xC",
        "six runs named 3B are left out: their count of parameters was not released",
        "tokens of 13B-5T are its steps times its batch",
    ),
)
