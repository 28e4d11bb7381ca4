"""Ladders in the forms of OLMo and OLMo-core: small ones, written by hand here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.tables import importers
from scaling.common.errors import UserError

LOSS = "eval/c4_en-validation/CrossEntropyLoss"
HEAD = f"_step,{LOSS},throughput/total_tokens,throughput/total_training_Gflops,learning_rate_peak"
ROWS = "200,6.0,104857600.0,199585036.4,0.00097\n400,5.1,209715200.0,399170072.9,0.00097\n"


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    """Two histories, and the file of their sizes as the repository lays it out."""
    data = tmp_path / "data" / "peteish"
    data.mkdir(parents=True)
    for name in ("190M-1xC", "370M-1xC"):
        (data / f"{name}.csv").write_text(f"{HEAD}\n{ROWS}")
    sizes = {
        size: {"paths": [f"scripts/scaling/data/peteish/{size}-1xC.csv"], "mode": "train", "n": n,
               "label": size, "color": "darkred"}
        for size, n in (("190M", 190354176), ("370M", 371262464))
    }  # fmt: skip
    (tmp_path / "final.json").write_text(json.dumps(sizes))
    return tmp_path


@pytest.mark.parametrize("place", [".", "final.json"])
def test_a_ladder_has_the_sizes_of_its_file(ladder: Path, place: str):
    found = importers.load("olmo", ladder / place)
    assert found.runs["run_id"].tolist() == ["190M-1xC", "370M-1xC"]
    assert found.runs["params_nonembedding"].tolist() == [190354176, 371262464]
    first = found.runs.iloc[0]
    assert (first["tokens"], first["loss"], first["learning_rate"]) == (209715200, 5.1, 0.00097)
    assert first["flops_model"] == pytest.approx(3.991700729e17)
    assert found.histories["step"].tolist() == [200, 400] * 2


def test_without_that_file_the_name_says_the_size(ladder: Path):
    (ladder / "final.json").unlink()
    found = importers.load("olmo", ladder / "data" / "peteish" / "190M-1xC.csv")
    assert found.runs["params_nonembedding"].tolist() == [1.9e8]


def test_a_history_that_the_file_names_must_be_there(ladder: Path):
    (ladder / "data" / "peteish" / "370M-1xC.csv").unlink()
    with pytest.raises(UserError, match=r"final\.json: names 370M-1xC\.csv, which is not below"):
        importers.load("olmo", ladder / "final.json")


def test_checkpoints_of_olmo_core(tmp_path: Path):
    run = tmp_path / "ladder" / "60M"
    run.mkdir(parents=True)
    for step, loss in ((100, 4.0), (20, 5.0)):
        metrics = {"eval/lm/c4_en-validation/CE loss": loss, "throughput/total tokens": 1000 * step}
        (run / f"metrics_step{step}.json").write_text(json.dumps(metrics))
    found = importers.load("olmo", tmp_path)
    assert found.runs["tokens"].tolist() == [100_000]
    assert found.runs["params_nonembedding"].tolist() == [6e7]
    assert found.histories["step"].tolist() == [20, 100]
