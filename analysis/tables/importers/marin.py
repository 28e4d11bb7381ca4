"""Marin: the outputs of training steps, whose `tracker_metrics.jsonl` Levanter's trackers write.

Such a file is one record of config and summary, or a line for each event of the run: its
hyperparameters, its steps, its summary. The folder names the run, and `.executor_status` beside it
says how the step ended. FLOPs are those of the model, attention included.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.tables.importers._form import TrackedRun, flat, reading

METRICS, STATUS = "tracker_metrics.jsonl", ".executor_status"
GFLOPS = "throughput/total_gflops"


def runs(path: Path) -> Iterator[TrackedRun]:
    """A run for each folder with metrics, or that of one file."""
    files = [path] if path.is_file() else sorted(path.rglob(METRICS))
    yield from map(_run, files)


def _run(file: Path) -> TrackedRun:
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    for line, text in enumerate(file.read_bytes().splitlines(), 1):
        with reading(f"{file}: line {line}"):
            event = _event(text) if text.strip() else {}
            config |= dict(flat(event.get("config") or event.get("hparams") or {}))
            summary |= event.get("summary") or {}
            if event.get("event") == "log":
                history.append({"step": event["step"], **_counted(event["metrics"])})
            elif "metrics" in event:
                summary |= event["metrics"]
    status = file.parent / STATUS
    word = status.read_text(encoding="utf-8", errors="replace") if status.exists() else ""
    return TrackedRun(
        run_id=file.parent.name,
        name=file.parent.name,
        status=word.strip(),
        facts={**config, **_counted(summary)},
        history=history,
    )


def _event(text: bytes) -> Mapping[str, Any]:
    """A line, perhaps behind the prefix of a job's log."""
    found = json.loads(text[max(0, text.find(b"{")) :])
    return found if isinstance(found, Mapping) else {}


def _counted(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics, with FLOPs under our name and in our unit."""
    found = {name: value for name, value in flat(metrics) if name != GFLOPS}
    gflops = metrics.get(GFLOPS)
    return found if gflops is None else {**found, "flops_model": 1e9 * float(gflops)}
