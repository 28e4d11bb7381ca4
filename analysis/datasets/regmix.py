"""Mixtures of 17 domains of the Pile of Liu et al. 2024: 512 runs of 1M parameters, and tests.

Columns: run_id, split (train, or test at 1m, 60m, 1B), params_total (nominal), loss (of Pile-CC),
weights_by_source.<domain>, and losses_by_source.<domain> of 13 domains, nats/token.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

SPLITS: Mapping[tuple[str, str], float] = {
    ("train", "1m"): 1e6,
    ("test", "1m"): 1e6,
    ("test", "60m"): 6e7,
    ("test", "1B"): 1e9,
}
TARGET = "pile_cc"


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    found = []
    for (part, size), params in SPLITS.items():
        mixtures = pd.read_csv(files[f"raw/{part}_mixture_{size}.csv"]).set_index("index")
        losses = pd.read_csv(files[f"raw/{part}_pile_loss_{size}.csv"]).set_index("index")
        mixtures.columns = mixtures.columns.str.replace(
            "train_the_pile_", "weights_by_source.", regex=False
        )
        losses.columns = losses.columns.str.replace(
            r"^metric/the_pile_(.*)_val_loss$", r"losses_by_source.\1", regex=True
        )
        both = mixtures.join(losses, how="inner")
        split = "train" if part == "train" else f"test_{size}"
        both.insert(0, "run_id", [f"{split}_{k}" for k in both.index])
        both.insert(1, "split", split)
        both.insert(2, "params_total", params)
        both.insert(3, "loss", both[f"losses_by_source.{TARGET}"])
        found.append(both)
    return pd.concat(found, ignore_index=True)


DATASET = Dataset(
    name="regmix",
    paper="Liu et al. 2024, RegMix (arXiv 2407.01492)",
    licence="MIT",
    repository="sail-sg/regmix",
    commit="b004d3a3f39846dcec6b3740da22bcd1ba95a5d0",
    files=(
        TableFile(
            "raw/train_mixture_1m.csv",
            "04a32ef4ab594376bf90e11404c033668f887c351d6a03ad3744824c7296a2d8",
            "data/train_mixture_1m.csv",
        ),
        TableFile(
            "raw/train_pile_loss_1m.csv",
            "49a959aa07ce5c20831d5abe3a7896ff0cd90a398bd407c8913fd5588be0465a",
            "data/train_pile_loss_1m.csv",
        ),
        TableFile(
            "raw/test_mixture_1m.csv",
            "197267b7d6f15367e2f46c881e564c35b0d34e51b1754bb09d07e650cf8e1ce8",
            "data/test_mixture_1m.csv",
        ),
        TableFile(
            "raw/test_pile_loss_1m.csv",
            "e027b1674f60140a65a87b5e4a59ab5f09dc33e8fd02c080682678074b160f53",
            "data/test_pile_loss_1m.csv",
        ),
        TableFile(
            "raw/test_mixture_60m.csv",
            "197267b7d6f15367e2f46c881e564c35b0d34e51b1754bb09d07e650cf8e1ce8",
            "data/test_mixture_60m.csv",
        ),
        TableFile(
            "raw/test_pile_loss_60m.csv",
            "8fe69d59ab7dd4fae4736459f4265ec93c7ed1ad1eca407346052560edc72b5b",
            "data/test_pile_loss_60m.csv",
        ),
        TableFile(
            "raw/test_mixture_1B.csv",
            "dd38052949c0a5f84165bdcb3ae3a331c7f07efd9bb83848bd579dfc4ce75a2c",
            "data/test_mixture_1B.csv",
        ),
        TableFile(
            "raw/test_pile_loss_1B.csv",
            "b2451e2b7fa15400688edc39e4d32f21ccbe0fb356e07d62a0e9ccddf247114f",
            "data/test_pile_loss_1B.csv",
        ),
    ),
    parse=_parse,
    caveats=("params_total is nominal", "weights are printed with few digits: sums are near 1"),
)
