"""1200 checkpoints of Tao et al. 2024: six sizes by ten vocabularies, 20 checkpoints of each run.

Columns: run_id, params_total, params_nonembedding, tokens, flops_6nd, vocabulary, characters,
loss_unigram (nats/token less those of the unigram model: negative), loss = loss_unigram +
ln(vocabulary), a loss whose zero differs from nats/token by a constant of each vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

CHECKPOINTS = "raw/exp_data.csv"
LEAST_FLOPS = 2.18e17  # of the checkpoints that the paper's Approach 3 fits


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[CHECKPOINTS])
    vocabulary = raw["vocab_size"].astype(int)
    params = raw["Non_vocab_parameters"] + raw["vocab_size"] * raw["embed_dim"]
    return pd.DataFrame(
        {
            "run_id": "V"
            + vocabulary.astype(str)
            + "_N"
            + raw["Non_vocab_parameters"].astype(int).astype(str),
            "params_total": params,
            "params_nonembedding": raw["Non_vocab_parameters"],
            "tokens": raw["FLOPs"] / (6 * params),
            "flops_6nd": raw["FLOPs"],
            "vocabulary": vocabulary,
            "characters": raw["num_characters"],
            "loss_unigram": raw["Lossu"],
            "loss": raw["Lossu"] + np.log(raw["vocab_size"]),
        }
    )


DATASET = Dataset(
    name="vocab_scaling",
    paper="Tao et al. 2024, Scaling Laws with Vocabulary (arXiv 2407.13623)",
    licence="none stated in the repository",
    repository="sail-sg/scaling-with-vocab",
    commit="6701cc202af8b075a46eef8e9d263b3f2ebe012c",
    files=(
        TableFile(
            CHECKPOINTS,
            "6571e877469a44cb50b2d05e1fa485587369ee1c47941a4b3b2bfef80496f1b2",
            "exp_data.csv",
        ),
    ),
    parse=_parse,
    caveats=(
        "rows are checkpoints of 60 runs, not runs: cluster by run_id",
        "losses of different vocabularies have different zeros: take one vocabulary at a time",
        "the paper fits the checkpoints of at least 2.18e17 FLOPs",
    ),
)
