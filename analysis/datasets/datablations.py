"""296 runs of Muennighoff et al. 2023 on repeated C4: sizes, tokens, and how many were unique.

Columns: params_total, tokens, unique_tokens, epochs = tokens / unique_tokens, flops_6nd, loss
(nats/token on C4 validation), model (the authors' name of size, tokens and unique tokens, which
seeds share: cluster by it), in_published_fit (the 182 runs that the paper's R_D*, R_N* rest on),
diverged.

The authors' notebook prints them. It is read from disk, or downloaded; the two tables collected
from it serve as well, in $WINDTUNNEL_DATA.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOK = "raw/parametric_fit.ipynb"
ALL, FITTED = "tidy_all.csv", "tidy_fit182.csv"
COLLECTED = (
    TableFile(ALL, "3da13edd70742cf5e43542061b09a59aa7498485330de45fe1a9019425b40a9d", None),
    TableFile(FITTED, "72497149255a5abd3ce6885e323ebaae6508fdbe59e1157714c9c597f509cd06", None),
)
PRINTED = ("model", "params_total", "tokens", "unique_tokens", "loss")
COLUMNS = (
    "run_id",
    "params_total",
    "tokens",
    "unique_tokens",
    "epochs",
    "flops_6nd",
    "loss",
    "model",
    "in_published_fit",
    "diverged",
)
KEY = ("model", "loss")  # tells every run from the others
ALL_CELL, FITTED_CELL = 2, 26  # which print a line per run: in units, and in billions
LOST, WORN = 5.0, 40.0  # nats/token, epochs


@dataclass(frozen=True)
class Notebook(Dataset):
    """A table that a notebook prints, or that was collected from its print."""

    collected: tuple[TableFile, ...] = ()

    def load(self) -> pd.DataFrame:
        if not self._at_hand(self.files) and self._at_hand(self.collected):
            return Dataset.load(replace(self, files=self.collected))
        return Dataset.load(self)

    def _at_hand(self, files: tuple[TableFile, ...]) -> bool:
        local = os.environ.get("WINDTUNNEL_DATA")
        return local is not None and all(
            Path(local, self.name, file.name).exists() for file in files
        )


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    runs, fitted = _printed(files[NOTEBOOK]) if NOTEBOOK in files else _collected(files)
    chosen = pd.MultiIndex.from_frame(fitted)
    epochs = runs["tokens"] / runs["unique_tokens"]
    table = runs.assign(
        run_id=[f"{name}#{row}" for row, name in enumerate(runs["model"])],
        epochs=epochs,
        flops_6nd=6 * runs["params_total"] * runs["tokens"],
        in_published_fit=pd.MultiIndex.from_frame(runs[list(KEY)]).isin(chosen),
        # small models early in training are above 5 too: these were trained for long
        diverged=(runs["loss"] > LOST) & (epochs >= WORN),
    )
    return table[list(COLUMNS)]


def _printed(notebook: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All runs and the keys of the fitted ones, from the lines of five fields of two prints."""
    import pandas as pd

    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]

    def table(cell: int) -> pd.DataFrame:
        lines = "".join(
            text for output in cells[cell]["outputs"] for text in output.get("text", ())
        ).splitlines()
        rows = [line.split() for line in lines if len(line.split()) == len(PRINTED)]
        return pd.DataFrame(rows, columns=list(PRINTED)).astype(dict.fromkeys(PRINTED[1:], float))

    return table(ALL_CELL), table(FITTED_CELL)[list(KEY)]


def _collected(files: Mapping[str, Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All runs and the keys of the fitted ones, from the collected tables."""
    import pandas as pd

    runs, fitted = (
        pd.read_csv(files[name]).rename(columns={"model_name": "model"}) for name in (ALL, FITTED)
    )
    return runs[list(PRINTED)], fitted[list(KEY)]


DATASET = Notebook(
    name="datablations",
    paper="Muennighoff et al. 2023 (arXiv 2305.16264)",
    licence="Apache-2.0",
    repository="huggingface/datablations",
    commit="13701315b163f1c54642b94ad237b2699187c3ee",
    files=(
        TableFile(
            NOTEBOOK,
            "6c65d270e70c944a9ac90f5f1213a4584e1ff9d6d2781cd86900663f4ab17db9",
            "utils/parametric_fit.ipynb",
        ),
    ),
    collected=COLLECTED,
    parse=_parse,
    caveats=(
        "parameter counts are the authors' rounded sizes; runs named 25m have 35.5M by their map",
        "seeds of one run share its model name",
        "runs 83m32b100m and 83m60b100m have the same loss to all digits: one may be a copy",
        "14 runs end above 5 nats/token after 40 epochs or more: marked diverged; the published "
        "fit leaves them out, but for 421m32b100m",
    ),
)
