"""258 compute-optimal runs of Qiu et al. 2025: regression by MLPs, CIFAR-5M and chess.

Columns: run_id, experiment (the authors' log), architecture, dataset, schedule, width,
params_total, steps, batch_seqs, seed, petaflops (the final compute, in the authors' unit), loss (on
test data). `CURVES` has their learning curves: run_id, step, petaflops so far, lr, and loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

RUNS = "tidy.csv"
CURVE_FILE = "tidy_curves.csv"


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[RUNS])
    return pd.DataFrame(
        {
            "run_id": raw["run_id"],
            "experiment": raw["log"],
            "architecture": raw["arch"],
            "dataset": raw["dataset"],
            "schedule": raw["schedule"],
            "width": raw["width"],
            "params_total": raw["params_total"],
            "steps": raw["steps"],
            "batch_seqs": raw["batch_seqs"],
            "seed": raw["seed"],
            "petaflops": raw["final_compute"],
            "loss": raw["loss"],
        }
    )


def _curves(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[CURVE_FILE])
    names = {"compute": "petaflops", "test_loss": "loss"}
    return raw[["run_id", "step", "compute", "lr", "test_loss"]].rename(columns=names)


DATASET = Dataset(
    name="supercollapse",
    paper="Qiu et al. 2025, Scaling Collapse Reveals Universal Dynamics in Compute-Optimally "
    "Trained Neural Networks (arXiv 2507.02119)",
    licence="none stated in the repository",
    repository="shikaiqiu/supercollapse",
    commit="003336f61d167a47cbe8a356faac85759daacdff",
    files=(
        # collected from logs/*.pkl, 7 files
        TableFile(RUNS, "88fca3a08bd6caef3c6ce5418cafbfd6e177c04fc709df849931d92e92ff06bd", None),
    ),
    parse=_parse,
    caveats=(
        "each size of mlp, chess and c5m has five or seven seeds; sizes of the others one or five",
        "losses of c5m span 0.8 %: its irreducible part is nearly all of them",
        "the runs of c5m with a constant learning rate were not released",
    ),
)
CURVES = replace(
    DATASET,
    files=(
        TableFile(
            CURVE_FILE, "7b4c116ea832b3b2a1c2ae0423483779ba3dec6df6b2db65316f543045175ea4", None
        ),
    ),
    parse=_curves,
)
