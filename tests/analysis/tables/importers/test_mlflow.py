"""Databases and folders that MLflow wrote, and its tables of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.tables import importers
from scaling.common.errors import UserError

mlflow = pytest.importorskip("mlflow")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module", params=[pytest.param("database", marks=pytest.mark.slow), "folder"])
def written(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs by MLflow's client: one ended, one failed, one deleted."""
    here = tmp_path_factory.mktemp("mlflow")
    place = here / ("mlflow.db" if request.param == "database" else "mlruns")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        uri = f"sqlite:///{place}" if request.param == "database" else place.as_uri()
        client = mlflow.MlflowClient(uri)
        experiment = client.create_experiment("ladder", (here / "artifacts").as_uri())
        for name, end in (("good", "FINISHED"), ("bad", "FAILED"), ("gone", "FINISHED")):
            run = client.create_run(experiment, run_name=name, tags={"arm": "adamw"}).info.run_id
            client.log_param(run, "n_params", 7_000_000)
            for step in range(3):
                client.log_metric(run, "val/loss", 3.0 - step, step=step)
            client.set_terminated(run, end)
            if name == "gone":
                client.delete_run(run)
    return place


def test_runs_of_a_store(written: Path):
    found = importers.load("mlflow", written)
    runs = found.runs.set_index("name")
    assert set(runs.index) == {"good", "bad"}
    assert runs["status"].to_dict() == {"good": "FINISHED", "bad": "FAILED"}
    assert runs["params_total"].astype(int).tolist() == [7_000_000] * 2
    assert runs["loss"].tolist() == [1.0, 1.0]
    assert runs["tags.arm"].tolist() == ["adamw"] * 2
    one = found.histories[found.histories["run_id"] == runs.loc["good", "run_id"]]
    assert one["loss"].tolist() == [3.0, 2.0, 1.0]


def test_a_table_of_search_runs(tmp_path: Path):
    file = tmp_path / "runs.csv"
    file.write_text(
        "run_id,status,metrics.val_loss,params.n_params,tags.mlflow.runName\n"
        "abc,FINISHED,3.1,7000000,good\n"
    )
    found = importers.load("mlflow", file)
    assert found.runs.to_dict("records") == [
        {"run_id": "abc", "name": "good", "status": "FINISHED", "params_total": 7000000,
         "loss": 3.1}
    ]  # fmt: skip


def test_another_database_is_refused(tmp_path: Path):
    import sqlite3

    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("create table a (b)")
    database.close()
    with pytest.raises(UserError, match=r"other\.db: no database of MLflow \(no such table: runs"):
        importers.load("mlflow", tmp_path / "other.db")
