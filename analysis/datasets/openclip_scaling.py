"""32 CLIP models of Cherti et al. 2023, each evaluated on some 40 image sets without training.

One row per model and set. Columns: run_id, architecture, corpus, samples (image-text pairs seen),
gmacs_per_sample, gmacs (their product, the compute), evaluation, and errors between 0 and 1:
error_top1 for classification, error_image_r5 and error_text_r5 (1 - recall at 5) for retrieval.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "raw/zeroshot_results.csv"


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[RESULTS])
    return pd.DataFrame(
        {
            "run_id": raw["name"].where(raw["name"] != "openai", "openai_" + raw["arch"]),
            "architecture": raw["arch"],
            "corpus": raw["upstream_dataset"],
            "samples": raw["samples_seen"],
            "gmacs_per_sample": raw["gmacs"],
            "gmacs": raw["gmacs_total"],
            "evaluation": raw["downstream_dataset"],
            "error_top1": 1 - raw["acc1"],
            "error_image_r5": 1 - raw["image_retrieval_recall@5"],
            "error_text_r5": 1 - raw["text_retrieval_recall@5"],
        }
    )


DATASET = Dataset(
    name="openclip_scaling",
    paper="Cherti et al. 2023, Reproducible scaling laws for contrastive language-image learning "
    "(arXiv 2212.07143)",
    licence="none stated in the repository",
    repository="LAION-AI/scaling-laws-openclip",
    commit="652b1e7471f7ccf372277f67cb680de5c9fa139d",
    files=(
        TableFile(
            RESULTS,
            "a04786cfcde5d47436c8ddbca0f0bdbb39cc584c0d0776b4f99145ae430a6568",
            "zeroshot_results.csv",
        ),
    ),
    parse=_parse,
    caveats=(
        "the paper fits its power laws to the least error at each compute, not to every model",
        "models on 80M pairs see each up to 400 times, those on 2B at most 17 times",
        "the three models on CLIP-WIT are OpenAI's: their runs are not of this study",
    ),
)
