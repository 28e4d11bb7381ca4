"""27 loss curves of Luo et al. 2025: three models, each under nine learning-rate schedules.

Columns: run_id, model, params_nonembedding (nominal), schedule, split (fit: the curves of the
released law; test: the rest), step (from 0, warm-up included), lr, loss (nats/token, validation).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.datasets._source import Dataset, TableFile
from scaling.laws._law import Array

if TYPE_CHECKING:
    import pandas as pd

PEAK, END, WARMUP = 3e-4, 3e-5, 2160
MODELS = {"25M": 25e6, "100M": 100e6, "400M": 400e6}
FIT = ("cosine_24000", "constant_24000", "wsdcon_9")
TEST = (
    "constant_72000", "cosine_72000", "wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3",
    "wsdcon_18",
)  # fmt: skip
COLLECTED = TableFile(
    "tidy.csv", "91a98172c877238315dfd5a01f87ca5a1bb707651a264b9406fc90a0f7e3889a", None
)
SHA256 = {  # of the released file of each run
    "25M_cosine_24000": "554e35f9efbe28a614c9ae1121b3bf55490df6b72a5898957f68a52770038e3a",
    "25M_constant_24000": "5a7c0b440751e258e7199eeefe9f0ae58520a2f2d64c5f81524d8d375f75f0ce",
    "25M_wsdcon_9": "b7579f38b5e175d9e9dc9b9598b409efdf2cba0a68819857ba28649c242c2bd8",
    "25M_constant_72000": "99ee51a9be7b7fb71511d0af28edd6bc6221350d2ad26a66c615467cb5c83247",
    "25M_cosine_72000": "af3b25a485966a0f7fc34824774cf8ec85af14848a6dc7b64d6a8d3d044befa5",
    "25M_wsd_20000_24000": "8649b7de4b4b31db5c35f4ff0458af9472a50168177de6372c3ceb37ace9fc62",
    "25M_wsdld_20000_24000": "8e3a9ae33ed586e5040a114fad215f4f245c6a2ff7d96f61cba02ccd8b74b3e7",
    "25M_wsdcon_3": "3d37fcf82c237e5c1ba2ee34c4b9e606ecba781536d4fea9a7dde5463207fc3d",
    "25M_wsdcon_18": "9b9bd40f519d20ecbf540d4c9451f6a01b7b379b1d335407ba4651025cc5926f",
    "100M_cosine_24000": "dd544dc61a11fa138c98ac0b673d5512287062d2d2d2e9c2867976abc8c46e69",
    "100M_constant_24000": "034a75e2415373a9be1097e9d406f98524344f4718d200d3a188dcbd5115103b",
    "100M_wsdcon_9": "510256497a0ea9d4270919fb37c56140e1b4d07e50b96b46334891ba316f144e",
    "100M_constant_72000": "52b5752009e1e4c396f15016e98897238fccb3816f58576ea944f03fe529dbc3",
    "100M_cosine_72000": "2e637203b48b3e3a84063f49035cde2f6a40c69ecd15d95b6551774b9a279f44",
    "100M_wsd_20000_24000": "e66df98c85dba705ebc85512c6a09a8ebec5675878a20d4d783c0bf80d031002",
    "100M_wsdld_20000_24000": "0ef6b02e260ff5efa51a5885655ead8cf126a7e9c4ea3034d403e11852c06fe2",
    "100M_wsdcon_3": "a1cbb8c730ae0628d69bb1d7aefadbad5cda5f6a92272f85203cd33d7b8f4912",
    "100M_wsdcon_18": "33cfea673dc0efde9e4fd74cc47d8daabdebfdc6d5a2659835bd780347f6e651",
    "400M_cosine_24000": "aa18c9dbad66610d2037249bbcbf08fdce0983aa486b876ba95c2e3fb6fc0dce",
    "400M_constant_24000": "5d91536675592acdc40ea56f71ca24ee9026243e51a0a791ac25b631381c45ee",
    "400M_wsdcon_9": "497aa4a60df8f520e11e212a990dcf70e8bfd89e814f295dc5476af630aac768",
    "400M_constant_72000": "a453ef82f549470cc8250723917668801436dd835fd17bbf71e1fd77d00a3b6c",
    "400M_cosine_72000": "347acbdc80042cb7cfe0dcb28580a2780718ccbad23443d4de76821f0a1ab41e",
    "400M_wsd_20000_24000": "8a56dbd8f6b553b42ca8b3f4be9822cf5b7458a6c1b7ae0ddc6ac57b2893dea7",
    "400M_wsdld_20000_24000": "7c5d5141d917955491732606e8817e7fdbd4bc2036e508e1610ab8bd252267dc",
    "400M_wsdcon_3": "e1a896755ea1e1a6a4648a503be6a19eb62fc7ef12fbab3440a66f7a94197ac6",
    "400M_wsdcon_18": "998aaf3fd14de43fe754c7250885d7f72e20e7a210b1ea205a8af37ea8b22951",
}


def learning_rates(schedule: str) -> Array:
    """The learning rate at every step: 2160 steps up from 0, then as the name says.

    cosine_T and constant_T end at T; wsd and wsdld decay from step 20,000 to 24,000, exponentially
    and linearly, to a tenth; wsdcon_k falls at step 8,000 to k x 1e-5 and ends at 16,000.
    """
    kind, *numbers = schedule.split("_")
    rise = np.linspace(0, PEAK, WARMUP)
    through = np.arange(4000) / 4000
    stable = np.full(20_000 - WARMUP, PEAK)
    match kind:
        case "constant":
            parts = [np.full(int(numbers[0]) - WARMUP, PEAK)]
        case "cosine":
            turn = np.linspace(0, np.pi, int(numbers[0]) - WARMUP, endpoint=False)
            parts = [END + (PEAK - END) * (1 + np.cos(turn)) / 2]
        case "wsdcon":
            parts = [np.full(8000 - WARMUP, PEAK), np.full(8000, int(numbers[0]) * 1e-5)]
        case "wsd":
            parts = [stable, PEAK * (END / PEAK) ** through]
        case "wsdld":
            parts = [stable, PEAK + (END - PEAK) * through]
    return np.concatenate([rise, *parts])


@dataclass(frozen=True)
class Released(Dataset):
    """The released files, or the one table collected from them where that alone is at hand."""

    def load(self) -> pd.DataFrame:
        """One row per evaluation of the loss."""
        local = os.environ.get("WINDTUNNEL_DATA")
        if local is not None:
            here = Path(local) / self.name
            if (here / COLLECTED.name).exists() and not (here / self.files[0].name).exists():
                return replace(self, files=(COLLECTED,), parse=_collected).load()
        return super().load()


def _file(run: str) -> str:
    return f"raw/{run}.csv"


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    return _table({run: pd.read_csv(files[_file(run)]) for run in SHA256})


def _collected(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    rows = pd.read_csv(files[COLLECTED.name]).rename(columns={"steps": "step"})
    return _table({run: rows[rows["run_id"] == run] for run in SHA256})


def _table(curves: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    parts = []
    for run, rows in curves.items():
        model, schedule = run.split("_", 1)
        known: dict[str, str | float] = {
            "run_id": run,
            "model": model,
            "params_nonembedding": MODELS[model],
            "schedule": schedule,
            "split": "fit" if schedule in FIT else "test",
        }
        parts.append(rows[["step", "lr", "loss"]].assign(**known))
    table = pd.concat(parts, ignore_index=True)
    return table[[*known, "step", "lr", "loss"]]


def _path(run: str) -> str:
    model, schedule = run.split("_", 1)
    return f"loss_curve_repo/csv_{model.removesuffix('M')}/{schedule}.csv"


DATASET = Released(
    name="multi_power_law",
    paper="Luo et al. 2025, A Multi-Power Law for Loss Curve Prediction Across Learning Rate "
    "Schedules (arXiv 2503.12811)",
    licence="MIT",
    repository="thu-yao-01-luo/MultiPowerLaw",
    commit="8da9f1902602f3391b971a811e3cc51604541769",
    files=tuple(TableFile(_file(run), sha256, _path(run)) for run, sha256 in SHA256.items()),
    parse=_parse,
    caveats=(
        "parameter counts are the nominal names of the models",
        "losses are printed to four decimals, from step 2160 on: none from within the warm-up",
        "the wsdcon curves of the 25M model end at step 14,144, not 16,000",
    ),
)
