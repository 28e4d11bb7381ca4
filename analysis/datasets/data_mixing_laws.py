"""The 26 mixtures of five domains of Ye et al. 2024, at steps of training and three sizes.

Columns: run_id, model, steps, params_label, loss (of all validation sets, by their sizes), the
weights of the run as weights_by_source.<domain>, and the losses of each domain as
losses_by_source.<domain>: means over its validation sets by the authors' sizes, nats/token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

LOSSES, SIZES = "tidy.csv", "raw/valid_weight.json"
STEP = 30_000  # at which the authors fit the runs of 70M
DOMAINS: Mapping[str, tuple[str, ...]] = {  # in the order of the proportions, and their sets
    "academic": (
        *("ArXiv", "FreeLaw", "NIH_ExPorter", "PhilPapers"),
        *("PubMed_Abstracts", "PubMed_Central", "USPTO_Backgrounds"),
    ),
    "prose": ("BookCorpus2", "Books3", "PG19"),
    "dialogue": (
        *("Enron_Emails", "EuroParl", "HackerNews", "OpenSubtitles"),
        *("Ubuntu_IRC", "YoutubeSubtitles"),
    ),
    "symbolic": ("DM_Mathematics", "Github"),
    "internet": ("OpenWebText2", "Pile-CC", "StackExchange", "Wikipedia_en"),
}


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[LOSSES])
    sizes = pd.Series(json.loads(files[SIZES].read_text(encoding="utf-8")))
    raw = raw[raw["dataset"] == "5Mix"]
    keys = ["run_id", "params_label", "steps", "proportions"]
    losses = raw.groupby([*keys, "split"])["loss"].mean().unstack()
    whole = losses.dropna().reset_index()
    weights = whole["proportions"].str.split("-", expand=True).astype(float).iloc[:, 1:]
    found = pd.DataFrame(
        {
            "run_id": whole["run_id"],
            "model": whole["params_label"],
            "steps": whole["steps"],
            "loss": whole[list(sizes.index)] @ sizes / sizes.sum(),
        }
    )
    for k, (domain, sets) in enumerate(DOMAINS.items()):
        found[f"weights_by_source.{domain}"] = weights.iloc[:, k]
        own = sizes[list(sets)]
        found[f"losses_by_source.{domain}"] = whole[list(sets)] @ own / own.sum()
    return found


DATASET = Dataset(
    name="data_mixing_laws",
    paper="Ye et al. 2024, Data Mixing Laws (arXiv 2403.16952)",
    licence="none stated in the repository",
    repository="yegcjs/mixinglaws",
    commit="8ad3e1244b53294ded55a96ae325f4112ce3bc63",
    files=(
        # collected from data/**/*.txt, 16 logs of losses
        TableFile(LOSSES, "eac50c053b73e1dbf1dbc5e07f53ca9331dcfb8bc96ad68a8da8ca28ba164d27", None),
        TableFile(
            SIZES,
            "d435a2da15a8658a6d2f8ee93ac2291cc374938adf543182737ad092be4e4c39",
            "pipeline/valid_weight.json",
        ),
    ),
    parse=_parse,
    caveats=(
        "the groups of validation sets are inferred: of them the published constants have their "
        "published errors",
        "proportions are in the names of the runs, whose first number is an index",
    ),
)
