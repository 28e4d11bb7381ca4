"""148 base models of many makers on eight benchmarks (Ruan et al. 2024), one row each.

Columns: run_id, family, params_total, tokens, flops_6nd (nan without tokens), and the accuracy on
mmlu, arc_c, hellaswag, winograd, truthfulqa, gsm8k, xwinograd and humaneval (nan where not asked).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

MODELS = "tidy.csv"
SLIP = "cerebras/btlm-3b-8k-base"  # 627T tokens in the table, 0.627T meant
BENCHMARKS = {
    "MMLU": "mmlu",
    "ARC-C": "arc_c",
    "HellaSwag": "hellaswag",
    "Winograd": "winograd",
    "TruthfulQA": "truthfulqa",
    "GSM8K": "gsm8k",
    "XWinograd": "xwinograd",
    "HumanEval": "humaneval",
}


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    raw = pd.read_csv(files[MODELS])
    tokens = raw["tokens"].where(raw["run_id"] != SLIP, raw["tokens"] / 1000)
    return pd.DataFrame(
        {
            "run_id": raw["run_id"],
            "family": raw["arch"],
            "params_total": raw["params_total"],
            "tokens": tokens,
            "flops_6nd": 6 * raw["params_total"] * tokens,
            **{name: raw[column] for column, name in BENCHMARKS.items()},
        }
    )


DATASET = Dataset(
    name="observational_scaling",
    paper="Ruan, Maddison and Hashimoto 2024, Observational Scaling Laws (arXiv 2405.10938)",
    licence="Apache-2.0",
    repository="ryoungj/ObsScaling",
    commit="4d6e1e43fd2635d04654aa77d1df9d5266ea0382",
    files=(
        # collected from eval_results/*.csv
        TableFile(MODELS, "951c258b130ad8c10cf73b54b2f16086a765859525d2b837f18a0d6d73e9c1cf", None),
    ),
    parse=_parse,
    caveats=(
        "the table has grown since the paper, which used about 80 models of 21 families",
        "a sixth of the models have no count of tokens",
        "the tokens of btlm-3b-8k-base are divided by 1000: the table has 627T",
    ),
)
