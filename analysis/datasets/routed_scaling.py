"""223 dense and routed models of Clark et al. 2022, each at the last step that was evaluated.

Columns: params_dense (seen by one token: the N of the paper), params_total (all experts), tokens =
step x 256 x 2048, experts (1 for the dense models), router, loss (nats/token, validation set of
MassiveText), seed, k (experts per token), routing_frequency (routed share of the layers).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

CURVES = "raw/curves.csv.gz"
TOKENS_PER_STEP = 256 * 2048
PAPER = (
    "k == 1 and routing_frequency == 0.5 and seed == 42"  # the runs that the authors' notebook fits
)


def of_router(table: pd.DataFrame, router: str) -> pd.DataFrame:
    """The runs that the law of one router is fitted to: its own, and the dense ones as E = 1."""
    return table.query(PAPER).query("router == @router or router == 'Dense'")


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[CURVES])
    measured = raw[raw["loss_validation"].notna()].sort_values(["hyper_id", "step"])
    last = measured.groupby("hyper_id").tail(1)
    return pd.DataFrame(
        {
            "run_id": "run" + last["hyper_id"].astype(str),
            "params_dense": last["dense_parameter_count"],
            "params_total": last["total_parameter_count"],
            "tokens": last["step"] * TOKENS_PER_STEP,
            "experts": last["num_experts"],
            "router": last["router_type"],
            "loss": last["loss_validation"],
            "seed": last["seed"],
            "k": last["k"],
            "routing_frequency": last["routing_frequency"],
        }
    ).reset_index(drop=True)


DATASET = Dataset(
    name="routed_scaling",
    paper="Clark et al. 2022, Unified Scaling Laws for Routed Language Models (arXiv 2202.01169)",
    licence="CC-BY 4.0",
    repository="google-deepmind/scaling_laws_for_routing",
    commit="42da0c392b127df2c01fa7b705f72396050d05e5",
    files=(
        TableFile(
            CURVES,
            "c03e7531add85e594f368d33bac4a0220280be858a7ed12d147cf73af6a3819f",
            "data/curves.csv.gz",
        ),
    ),
    parse=_parse,
    caveats=(
        "tokens follow from the batch of the paper, 256 sequences of 2048: they were not released",
        "the last evaluation of one run is at step 250,000 and of one at 248,000, not 249,000",
        "the seed was varied for three dense models alone, which the law of the paper leaves out",
    ),
)
