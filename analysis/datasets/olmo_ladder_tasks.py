"""Every checkpoint of the OLMo ladder on eight tasks (Bhagia et al. 2024): loss and accuracy.

One row per checkpoint and task. Columns: run_id, params_nonembedding, tokens, flops_model (by the
authors' count of a token), step, task, loss (bits per byte of the right choice), accuracy (of the
choice likeliest per byte), is_target (13B-5T), last (True of the last checkpoint of a run). MMLU is
the mean of its four parts by size.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

CHECKPOINTS = "tidy_all_checkpoints.csv"
SIZES = {  # parameters, and FLOPs of one token in training as the authors count them
    "190M": (190354176, 1903391232),
    "370M": (371262464, 3443922944),
    "760M": (758220288, 6373843968),
    "1B": (1279395840, 10109071360),
}
MULTIPLIERS = (1, 2, 5, 10)  # of Chinchilla's data
TARGET, TARGET_SIZE = "peteish13_eval_final", (13202396160, 91335915520)
PARTS = {"stem": 0.215, "humanities": 0.335, "social_sciences": 0.219, "other": 0.231}  # of MMLU
TASKS: Mapping[str, Mapping[str, float]] = {  # columns of each task, and their weights
    "MMLU": {f"mmlu_{part}_test": weight for part, weight in PARTS.items()},
    "HellaSwag": {"hellaswag_val": 1},
    "ARC-Challenge": {"arc_challenge_test": 1},
    "ARC-Easy": {"arc_easy_test": 1},
    "PIQA": {"piqa_val": 1},
    "CommonsenseQA": {"csqa_val": 1},
    "Social IQa": {"socialiqa_val": 1},
    "OpenBookQA": {"openbookqa_test": 1},
}


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[CHECKPOINTS])
    runs = {f"{size}-{k}xC": counts for size, counts in SIZES.items() for k in MULTIPLIERS}
    runs[TARGET] = TARGET_SIZE
    raw = raw[raw["run_id"].isin(list(runs))].sort_values(["run_id", "_step"])
    seen = raw["_step"] * raw["batch_size_in_tokens"]
    tokens = raw["throughput/total_tokens"].fillna(seen)
    params, flops = (raw["run_id"].map({k: float(n[at]) for k, n in runs.items()}) for at in (0, 1))
    shared = pd.DataFrame(
        {
            "run_id": raw["run_id"].replace({TARGET: "13B-5T"}),
            "params_nonembedding": params,
            "tokens": tokens,
            "flops_model": tokens * flops,
            "step": raw["_step"],
            "is_target": raw["run_id"] == TARGET,
            "last": ~raw["run_id"].duplicated(keep="last"),
        }
    )
    found = []
    for task, columns in TASKS.items():
        loss = sum(w * raw[f"downstream_bpb/{c}_rc_5shot_bpb"] for c, w in columns.items())
        hits = sum(w * raw[f"downstream/{c}_rc_5shot_len_norm"] for c, w in columns.items())
        found.append(shared.assign(task=task, loss=loss, accuracy=hits))
    return pd.concat(found, ignore_index=True)


DATASET = Dataset(
    name="olmo_ladder_tasks",
    folder="olmo_ladder",
    paper="Bhagia et al. 2024, Establishing Task Scaling Laws via Compute-Efficient Model Ladders "
    "(arXiv 2412.04403)",
    licence="Apache-2.0",
    repository="allenai/OLMo-ladder",
    commit="67a3f440f787d020da35e3ca8eeae475fae754f5",
    files=(
        # collected from src/scripts/paper/data/ladder-runs/*.csv, 41 files
        TableFile(
            CHECKPOINTS, "bdcf55f82ad9a008587b03435109fb67db2c5e5fd7080150d8eaf7fd602001f5", None
        ),
    ),
    parse=_parse,
    caveats=(
        "the 16 runs that the paper fits, and 13B-5T; its other runs are left out",
        "tokens of 13B-5T are its steps times its batch",
    ),
)
