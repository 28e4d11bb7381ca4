"""A whole curve predicted at a larger size, from a table of curves of a known law."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from scaling.laws.kaplan import loss_at_batch

TRUTH = {
    "N_c": 6e13, "alpha_N": 0.076, "S_c": 2.1e3, "alpha_S": 0.76, "B_star": 2e8, "alpha_B": 0.21,
}  # fmt: skip
RUNS = (
    *((size, 2**17) for size in (1e6, 6e6, 4e7)),
    *((6e6, 2**power) for power in (14, 15, 16, 18, 19, 20)),
)


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = []
    for size, batch in RUNS:
        steps = np.unique(np.geomspace(100, 1e5 * max(1, 2**17 / batch) ** 0.7, 100).round())
        loss = loss_at_batch(TRUTH, size, batch, steps)
        parts.append(
            pd.DataFrame(
                {"name": f"{size:g}/{batch}", "n": size, "b": batch, "s": steps, "l": loss}
            )
        )
    file = tmp_path_factory.mktemp("curves") / "curves.csv"
    pd.concat(parts).to_csv(file, index=False)
    return file


COLUMNS = [
    "--run-column", "name", "--params-column", "n", "--batch-tokens-column", "b",
    "--steps-column", "s", "--loss-column", "l",
]  # fmt: skip


def test_a_larger_run_is_predicted(curves: Path, tmp_path: Path, capsys):
    asked = ["--size", "1e9", "--batch", "1048576", "--steps", "1e4,1e6"]
    asked += ["--to-loss", str(float(loss_at_batch(TRUTH, 1e9, 2.0**20, 1e5)))]
    plot = ["--plot", str(tmp_path / "curve.png")]
    assert main(["trajectory", str(curves), *COLUMNS, *asked, *plot]) == 0
    said = capsys.readouterr().out
    for steps in (1e4, 1e6):
        true = float(loss_at_batch(TRUTH, 1e9, 2.0**20, steps))
        row = next(
            line.split() for line in said.splitlines() if line.split()[:1] == [f"{steps:.4g}"]
        )
        assert float(row[2]) == pytest.approx(true, rel=2e-3)
    row = said.split("\nloss ")[1].splitlines()[1].split()
    assert float(row[1]) == pytest.approx(1e5, rel=0.05) and float(row[2]) == pytest.approx(
        float(row[1]) * 2**20, rel=1e-3
    )
    floor = float(said.split("never below ")[1].split()[0])
    assert floor == pytest.approx((TRUTH["N_c"] / 1e9) ** TRUTH["alpha_N"], rel=5e-3)
    assert (tmp_path / "curve.png").exists() and (tmp_path / "curve.svg").exists()


def test_mistakes_are_one_line(curves: Path, capsys):
    asked = ["trajectory", str(curves), "--size", "1e9", "--batch", "1e6"]
    assert main([*asked, "--steps", "many", *COLUMNS]) == 2
    assert "--steps 'many' is not a number" in capsys.readouterr().err
    assert main(asked) == 2
    assert "give --steps S,... or --to-loss L,..." in capsys.readouterr().err
    assert main([*asked, "--steps", "1e4"]) == 2
    assert "no column 'run_id'" in capsys.readouterr().err
