"""Points of a run read back from each tracker, or from the files that it syncs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Copy:
    """Of one run."""

    points: dict[int, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    twice: list[tuple[int, str]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    statuses: list[str] = field(default_factory=list)

    def take(self, step: int, name: str, value: float) -> None:
        kept = self.metrics if name.startswith("summary/") else self.points[step]
        if name in kept:
            self.twice.append((step, name))
        kept[name] = value


def tensorboard(folder: Path, run_id: str) -> Copy:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    events = EventAccumulator(str(folder / "tensorboard" / run_id), {"tensors": 0, "scalars": 0})
    events.Reload()
    copy = Copy()
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            copy.take(event.step, tag, event.value)
    if "status" in events.Tags()["tensors"]:
        texts = [event.tensor_proto.string_val[0] for event in events.Tensors("status")]
        copy.statuses += [text.decode() for text in texts]
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    for name, value in start.hparams.items():
        copy.config[name] = getattr(value, value.WhichOneof("kind"))
    return copy


def mlflow(folder: Path, run_id: str) -> Copy:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "tiny"]
    (run,) = client.search_runs([experiment.experiment_id], f"tags.run_id = '{run_id}'")
    copy = Copy(config=dict(run.data.params))
    for name in run.data.metrics:
        for metric in client.get_metric_history(run.info.run_id, name):
            copy.take(metric.step, name, metric.value)
    if "status" in run.data.tags:
        copy.statuses.append(run.data.tags["status"])
    return copy


def wandb(folder: Path, run_id: str) -> Copy:
    """Every folder that `wandb sync` would upload."""
    from wandb.proto.wandb_internal_pb2 import Record

    copy = Copy()
    for path in (folder / "wandb").glob(f"offline-run-*-{run_id}/run-{run_id}.wandb"):
        for content in _leveldb(path.read_bytes()):
            entry = Record()
            entry.ParseFromString(content)
            for item in entry.run.config.update:
                copy.config[item.key] = json.loads(item.value_json)
            for item in entry.summary.update:
                name, value = "/".join(item.nested_key) or item.key, json.loads(item.value_json)
                if name == "status":
                    copy.statuses.append(value)
                elif name.startswith("summary/"):
                    copy.metrics[name] = value
            values = {
                "/".join(item.nested_key) or item.key: float(json.loads(item.value_json))
                for item in entry.history.item
            }
            for name, value in values.items():
                if not name.startswith("_"):
                    copy.take(int(values["_step"]), name, value)
    return copy


def _leveldb(data: bytes, block: int = 32768, header: int = 7) -> Iterator[bytes]:
    """The records of a LevelDB log: blocks of (checksum, length, kind) and a part of a record."""
    part, at = b"", header
    while at + 7 <= len(data):
        left = block - at % block
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if kind == 0:
            return
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole of a record, or its last part
            yield part
            part = b""


READERS = {"tensorboard": tensorboard, "wandb": wandb, "mlflow": mlflow}
