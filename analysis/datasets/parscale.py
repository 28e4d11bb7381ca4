"""48 runs of Chen et al. 2025: six sizes, 1 to 8 parallel streams, on Python code and on the Pile.

One row per run. Columns: run_id, corpus, params_nonembedding, streams, loss (nats/token). The
authors' script holds them as lists.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.datasets._source import Dataset, TableFile

if TYPE_CHECKING:
    import pandas as pd

SCRIPT = "parametric_fit.py"
CORPORA = {"stack_loss": "Stack-V2 Python", "pile_loss": "Pile"}
STREAMS = (1, 2, 4, 8)


def _parse(files: Mapping[str, Path]) -> pd.DataFrame:
    import pandas as pd

    lists = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(files[SCRIPT].read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("params", *CORPORA)
    }
    return pd.DataFrame(
        [
            {
                "run_id": f"{corpus}-{size}-P{streams}",
                "corpus": corpus,
                "params_nonembedding": float(size),
                "streams": streams,
                "loss": loss,
            }
            for name, corpus in CORPORA.items()
            for streams, sizes, losses in zip(STREAMS, lists["params"], lists[name], strict=True)
            for size, loss in zip(sizes, losses, strict=True)
        ]
    )


DATASET = Dataset(
    name="parscale",
    paper="Chen et al. 2025, Parallel Scaling Law for Language Models (arXiv 2505.10475)",
    licence="none stated in the repository",
    repository="QwenLM/ParScale",
    commit="cd6acb48ba6d3b1f9715785ff0d212751210177d",
    files=(
        TableFile(
            SCRIPT, "48dd25731179e0e8f6f7d320a3d42e69f9721190c5a9a48cf30a73f1e72151d6", SCRIPT
        ),
    ),
    parse=_parse,
    caveats=(
        "losses are printed to four decimals, and every cell has one seed",
        "the sizes of one row differ by less than 2 % over the streams: prefixes are counted",
    ),
)
