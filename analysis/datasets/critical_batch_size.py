"""Steps to a target loss at 9 batch sizes for 5 model sizes, by Zhang et al. 2024.

45 rows. Columns: size, params_nonembedding, batch_seqs (of 512 tokens), batch_tokens, steps (least
over a sweep of lr, beta2 and weight averaging, as the authors fit them), steps_first_pass (before
their corrections by hand), tokens = steps * batch_tokens, loss (the target, nats/token on C4).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

STEPS = "tidy.csv"


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[STEPS])
    kept = ["run_id", "params_nonembedding", "batch_seqs", "batch_tokens", "seq_len", "steps"]
    table = raw[[*kept, "steps_first_pass", "tokens", "loss"]].copy()
    table.insert(1, "size", raw["run_id"].str.split("-|_").str[0])
    return table


DATASET = Dataset(
    name="critical_batch_size",
    paper="Zhang et al. 2024, How Does Critical Batch Size Scale in Pre-training? "
    "(arXiv 2410.21676)",
    licence="MIT",
    repository="hlzhang109/critical-batch-size",
    commit="c5b509d8cf276bb40388172a08f9d6f644cf44dc",
    files=(
        TableFile(STEPS, "f72645655752fb41f1f24439e9e8aa473fd8c1dc841dad1c29149741b59900c6", None),
    ),
    parse=_parse,
    caveats=(
        "copied from the printed outputs of plots/chinchilla.ipynb",
        "steps are minima over a sweep; the lr printed beside them is that of the last run read, "
        "not of the best one, and is left out here",
        "each size has about 20 tokens per parameter, so size and data rise together",
    ),
)
