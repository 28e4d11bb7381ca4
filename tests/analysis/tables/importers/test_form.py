"""Files of trackers that are damaged or of another form: one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.tables import importers
from scaling.common.errors import UserError

WANDB = "run-20250101_000000-abc/files"
META = "lifecycle_stage: active\nrun_id: a\nrun_name: b\nstatus: 3\n"
STORE = {"0/a/meta.yaml": META, "0/a/metrics/loss": "1 2.5 3\n", "0/a/params/n": "7"}
DAMAGED = {
    "torn": ("wandb", f"{WANDB}/wandb-summary.json", '{"loss": 2.', {}),
    "a list": ("wandb", f"{WANDB}/wandb-summary.json", "[2.5]", {}),
    "too deep": ("wandb", f"{WANDB}/wandb-summary.json", "[" * 100_000, {}),
    "no YAML": (
        "wandb", f"{WANDB}/config.yaml", "a: [1,", {f"{WANDB}/wandb-summary.json": "{}"},
    ),
    "no events": ("tensorboard", "run-a-tag-loss.json", '{"step": 1}', {}),
    "no column": ("tensorboard", "run-a-tag-loss.csv", "step,value\n1,2\n", {}),
    "empty": ("olmo", "60M/metrics_step10.json", "", {}),
    "UTF-16": ("olmo", "60M/config.json", b"\xff\xfe{", {"60M/metrics_step10.json": "{}"}),
    "no field": ("marin", "a/tracker_metrics.jsonl", '{"event": "log"}', {}),
    "no status": ("mlflow", "0/a/meta.yaml", META.replace("3", "9"), STORE),
    "no number": ("mlflow", "0/a/metrics/loss", "1 two 3\n", STORE),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    tracker, damaged, content, others = DAMAGED[name]
    for place, text in {**others, damaged: content}.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        importers.load(tracker, tmp_path)
    said = str(caught.value)
    assert said.startswith(str(tmp_path / damaged)) and "damaged, or not as" in said
    assert "\n" not in said and len(said) < len(str(tmp_path)) + 300


def test_a_text_may_hold_any_letter_but_an_end_of_line(tmp_path: Path) -> None:
    """Some programs end lines at U+2028 and U+0085, which JSON and CSV leave in their cells."""
    row = {"config": {"name": "a\u2028b\x85c"}, "summary": {"loss": 2.5}}
    file = tmp_path / "a" / "tracker_metrics.jsonl"
    file.parent.mkdir()
    file.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert importers.load("marin", tmp_path).runs["loss"].tolist() == [2.5]


def test_a_file_that_holds_no_value_is_no_run(tmp_path: Path) -> None:
    """A reader of events ends at the first bytes that are none."""
    pytest.importorskip("tensorboard")
    (tmp_path / "table.csv").write_text("n,d,loss\n1,2,3\n" * 9)
    with pytest.raises(UserError, match="no run of tensorboard here"):
        importers.load("tensorboard", tmp_path / "table.csv")
