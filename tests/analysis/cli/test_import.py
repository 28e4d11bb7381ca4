"""The command: what it writes is read back by `fit`, with its origin."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import load_table
from analysis.__main__ import main
from scaling import laws

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """The table of runs of a project: 24 that finished, and one that crashed."""
    n, d = np.repeat(np.geomspace(5e7, 1e10, 6), 4), np.tile(np.geomspace(1e9, 3e11, 4), 6)
    loss = laws.chinchilla.predict(TRUTH, params=n, tokens=d)
    runs = pd.DataFrame({"Name": "ladder", "ID": [f"r{at}" for at in range(24)],
                         "State": "finished", "n_params": n, "train_tokens": d,
                         "eval/loss": loss, "width": 64})  # fmt: skip
    bad = runs.iloc[:1].assign(ID="bad", State="crashed", **{"eval/loss": 9.0})
    pd.concat([runs, bad]).to_csv(tmp_path / "export.csv", index=False)
    return tmp_path / "export.csv"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_imported_table_is_fitted(export: Path, form: str, capsys):
    table = export.with_name(f"runs.{form}")
    assert main(["import", "wandb", str(export), "--to", str(table)]) == 0
    said = capsys.readouterr().out
    assert "25 runs of wandb" in said and "status: 24 finished, 1 crashed" in said
    assert "kept under their own names: width" in said
    assert load_table(table)["run_id"].tolist()[-1] == "bad"
    assert main(["fit", str(table), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["params"] == pytest.approx(TRUTH, rel=1e-3)
    assert answer["warnings"][0] == "1 run crashed (bad): left out"


def test_the_origin_stands_in_the_file(export: Path):
    import pyarrow.parquet

    for form in ("csv", "parquet"):
        assert (
            main(["import", "wandb", str(export), "--to", str(export.with_name(f"r.{form}"))]) == 0
        )
    line = export.with_name("r.csv").read_text().splitlines()[0]
    held = pyarrow.parquet.read_schema(export.with_name("r.parquet")).metadata[b"windtunnel"]
    for origin in (json.loads(line.removeprefix("#")), json.loads(held)):
        assert origin["imported_from"] == "wandb" and origin["path"] == str(export)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wandd", "export.csv", "--to", "r.csv"], "did you mean 'wandb'"),
        (["wandb", "absent.csv", "--to", "r.csv"], "no such file or folder"),
        (["wandb", "export.csv", "--to", "r.xls"], "ends in .csv or .parquet"),
        (["marin", ".", "--to", "r.csv"], "no run of marin here"),
    ],
)
def test_mistakes(export: Path, arguments: list[str], message: str, monkeypatch, capsys):
    monkeypatch.chdir(export.parent)
    assert main(["import", *arguments]) == 2
    assert message in capsys.readouterr().err
