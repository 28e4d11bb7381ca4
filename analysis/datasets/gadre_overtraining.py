"""104 runs of Gadre et al. 2024: six sizes, 5 to 640 tokens per parameter, three training corpora.

Columns: params_total, params_nonembedding, tokens, flops_6nd, tokens_per_param (20 times the
authors' Chinchilla multiplier), loss (nats/token on the C4 evaluation set), dataset (the training
corpus), hyperparameters, loss_<set> on the other evaluation sets, err_avg17 and err_avg46 (mean
top-1 error over 17 and 46 downstream tasks). Flags name the runs that the paper fits its two laws
to, and those that it predicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

RUNS = "tidy.csv"
FIRST = (
    "run_id",
    "params_total",
    "params_nonembedding",
    "tokens",
    "flops_6nd",
    "tokens_per_param",
    "loss",
    "dataset",
)
SAID_OTHERWISE = ("study", "flops", "token_multiplier")  # by a column of ours


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[RUNS])
    params, tokens = raw["params_total"].astype("float64"), raw["tokens"].astype("float64")
    # 6ND of the larger runs is past 2^63, so it is made in float64, never from whole numbers
    table = raw.assign(
        params_total=params,
        params_nonembedding=raw["params_nonembedding"].astype("float64"),
        tokens=tokens,
        flops_6nd=6 * params * tokens,
        tokens_per_param=raw["token_multiplier"],
        # one sequence a step, as released for the 6.9B runs, would be 67 million steps
        batch_seqs=raw["batch_seqs"].where(raw["batch_seqs"] > 1),
        batch_tokens=raw["batch_tokens"].where(raw["batch_seqs"] > 1),
    ).drop(columns=list(SAID_OTHERWISE))
    return table[[*FIRST, *(name for name in table.columns if name not in FIRST)]]


DATASET = Dataset(
    name="gadre_overtraining",
    paper="Gadre et al. 2024 (arXiv 2403.08540)",
    licence="MIT",
    repository="mlfoundations/scaling",
    commit="a003c4913793ac2ae7ef87b28ecb562955d026d5",
    files=(
        # collected from exp_data/models/*.json and exp_data/evals/*.json, 208 files
        TableFile(RUNS, "5dc572f1316e64086b1308b9178553d34701a623bbaa7417f4ef836e24a6f8cd", None),
    ),
    parse=_parse,
    caveats=(
        "6ND of 47 of the runs overflows a signed 64-bit integer",
        "the released batch of the three 6.9B runs is one sequence, which cannot be: left blank",
        "the two averages of error are unweighted; tasks near chance add noise and no signal",
        "one seed per run, so the noise between seeds is not known",
    ),
)
