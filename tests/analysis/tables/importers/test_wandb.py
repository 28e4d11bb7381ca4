"""Runs that the client of Weights & Biases wrote, and exports in its forms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from analysis.tables import importers

OFFLINE = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "DO_NOT_TRACK": "true"}
CONFIG = {"n_params": "1.2B", "model": {"width": 64}, "lr": 0.01, "betas": [0.9, 0.95]}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, written offline by the client itself; the second one crashed."""
    wandb = pytest.importorskip("wandb")
    here = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        settings = wandb.Settings(
            silent=True, console="off", disable_code=True, disable_git=True, x_disable_stats=True
        )
        for at in range(2):
            run = wandb.init(project="p", id=f"id{at}", name="same", dir=here, config=CONFIG,
                             reinit="create_new", settings=settings)  # fmt: skip
            for step in range(3):
                loss = float("nan") if at else 3.0 - step
                run.log({"eval": {"loss": loss}, "tokens": 1000 * (step + 1)}, step=step)
            run.finish(exit_code=at)
        wandb.teardown()  # its process writes the end of a log after `finish`
    return here


def test_offline_runs_give_settings_last_values_histories_and_how_they_ended(written: Path):
    found = importers.load("wandb", written)
    assert found.runs["run_id"].tolist() == ["id0", "id1"]
    assert found.runs["name"].tolist() == ["same", "same"]
    assert found.runs["status"].tolist() == ["finished", "crashed"]
    assert found.runs["params_total"].tolist() == ["1.2B", "1.2B"]
    assert found.runs["loss"].tolist() == pytest.approx([1.0, float("nan")], nan_ok=True)
    assert found.runs["tokens"].tolist() == [3000, 3000]
    assert found.taken["loss"] == "eval.loss" and found.taken["learning_rate"] == "lr"
    assert set(found.others) == {"model.width", "betas"}
    first = found.histories[found.histories["run_id"] == "id0"]
    assert first["step"].tolist() == [0, 1, 2] and first["loss"].tolist() == [3.0, 2.0, 1.0]
    assert found.provenance["runs"] == "2" and len(found.provenance["sha256"]) == 64


def test_a_run_killed_before_its_end_is_running(written: Path, tmp_path: Path):
    (log,) = written.rglob("run-id0.wandb")
    torn = tmp_path / "run-id0.wandb"
    torn.write_bytes(log.read_bytes()[:-60])
    assert importers.load("wandb", torn).runs["status"].tolist() == ["running"]


def test_without_its_log_a_run_is_its_config_and_summary(tmp_path: Path):
    files = tmp_path / "run-20250101_000000-abc" / "files"
    files.mkdir(parents=True)
    (files / "config.yaml").write_text(
        "wandb_version: 1\n_wandb:\n  value: {t: 1}\nn_params:\n  value: 7000000\n"
    )
    (files / "wandb-summary.json").write_text(json.dumps({"val": {"loss": 2.5}, "_step": 9}))
    found = importers.load("wandb", tmp_path)
    assert found.runs.to_dict("records") == [
        {"run_id": "abc", "name": "abc", "status": "", "params_total": 7000000, "loss": 2.5}
    ]


TABLE = "\n".join([
    '"Name","State","Tags","n_params","eval/loss"',
    '"a","finished","","1.2B","3.1"',
    '"a","crashed","","70M","4"',
])  # fmt: skip
API = [
    {"name": "a", "id": "x", "state": "finished", "config": {"n_params": 5, "_wandb": {"t": 1}},
     "summary": {"eval/loss": 3.1, "_step": 3}},
]  # fmt: skip
CELLS = "name,summary,config\na,\"{'eval/loss': 3.1, 'grad': nan}\",\"{'n_params': 5}\"\n"
CHART = '"Step","a - eval/loss","a - eval/loss__MIN","b - eval/loss"\n1,3.2,3.2,\n2,3.1,3.1,4\n'


@pytest.mark.parametrize(
    ("content", "ids", "losses"),
    [
        (TABLE, ["a", "a (2)"], [3.1, 4.0]),
        (json.dumps(API), ["x"], [3.1]),
        (CELLS, ["a"], [3.1]),
        (CHART, ["a", "b"], [3.1, 4.0]),
    ],
    ids=["table of runs", "JSON of the API", "CSV of the API", "chart"],
)
def test_exports(tmp_path: Path, content: str, ids: list[str], losses: list[float]):
    file = tmp_path / "export"
    file.write_text(content)
    found = importers.load("wandb", file)
    assert found.runs["run_id"].tolist() == ids
    assert found.runs["loss"].tolist() == losses
    assert not [name for name in found.runs if "_wandb" in name or name.startswith("_")]


def test_a_run_continued_elsewhere_is_one_run(written: Path, tmp_path: Path):
    (folder,) = (log.parent for log in written.rglob("run-id0.wandb"))
    for name in ("offline-run-20260101_000000-id0", "offline-run-20260102_000000-id0"):
        shutil.copytree(folder, tmp_path / name)
    found = importers.load("wandb", tmp_path)
    assert len(found.runs) == 1 and len(found.histories) == 3
