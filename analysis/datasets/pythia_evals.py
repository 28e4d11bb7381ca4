"""Checkpoints of the Pythia models (Biderman et al. 2023): 8 sizes, two corpora, eight tasks.

One row per checkpoint, task, number of shots and metric. Columns: run_id, model, corpus,
params_nonembedding, tokens, flops_6nd_nonembedding, step, on_schedule (steps that every model was
evaluated at), task, shots, metric, value.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

EVALUATIONS = "tidy.csv"
FIRST, EVERY = 3000, 10_000  # steps of the evaluations that all models share, from 3000 on


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[EVALUATIONS])
    params, tokens = raw["params_nonembedding"], raw["tokens"]
    return pd.DataFrame(
        {
            "run_id": raw["run_id"],
            "model": raw["run_id"].str.rsplit("_", n=1).str[0],
            "corpus": raw["dataset"],
            "params_nonembedding": params,
            "tokens": tokens,
            "flops_6nd_nonembedding": 6 * params * tokens,
            "step": raw["steps"],
            "on_schedule": (raw["steps"] < FIRST) | ((raw["steps"] - FIRST) % EVERY == 0),
            "task": raw["task"],
            "shots": raw["shots"],
            "metric": raw["metric"],
            "value": raw["value"],
        }
    )


DATASET = Dataset(
    name="pythia_evals",
    paper="Biderman et al. 2023, Pythia (arXiv 2304.01373)",
    licence="Apache-2.0",
    repository="EleutherAI/pythia",
    commit="a19eecb807ec2c79a39ebf18108816e6ffffc1d5",
    files=(
        # collected from evals/pythia-v1/**/*.json
        TableFile(
            EVALUATIONS, "48f18423207eb51342d58147fd7021e6b6ae9f0a9a7fdaab3193fa9ec2bd9f35", None
        ),
    ),
    parse=_parse,
    caveats=(
        "there are no losses; the perplexity of LAMBADA's last word is the nearest to one",
        "21 Pile checkpoints off the schedule are of other runs, with clearly other results",
        "437 keys of run, task, shots and metric have two values",
        "the smallest models get worse on LAMBADA from about 60,000 steps on",
    ),
)
