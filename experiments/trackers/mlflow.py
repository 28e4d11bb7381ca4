"""MLflow: a run is a run in the study's experiment, found by its tag `run_id`.

MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME choose the place. The default is the database
FOLDER/mlflow/mlflow.db and an experiment named after the study.

A database stores equal values of one step and time once, so the mirror resends a point that a kill
left incomplete. The tokens are sent last; a point with tokens is whole.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.record import Status
from experiments.trackers import Ending, Header, Held, TrackedStep

PACKAGES = ("mlflow", "sqlalchemy", "alembic")
LAST = "tokens"
AT_ONCE = {"metrics": 1000, "params": 100}  # in one request at most
ENDED = {Status.FAILED: "FAILED"}  # all others have FINISHED


@dataclass
class _Session:
    client: Any
    theirs: str  # id of the run
    step: int

    def add(self, points: Sequence[TrackedStep]) -> None:
        metrics = [metric for point in points for metric in _metrics(point.values, point)]
        self._send("metrics", metrics)
        self.step = points[-1].step if points else self.step

    def end(self, ending: Ending) -> None:
        self._send("metrics", _metrics(ending.metrics, TrackedStep(self.step, ending.time, {})))
        self.client.set_terminated(
            self.theirs, ENDED.get(ending.status, "FINISHED"), round(1000 * ending.time)
        )
        self.client.set_tag(self.theirs, "message", ending.message)
        self.client.set_tag(self.theirs, "status", str(ending.status))  # last: `held` reads it

    def close(self) -> None:
        pass  # nothing is open between two requests

    def _send(self, kind: str, entries: Sequence[Any]) -> None:
        size = AT_ONCE[kind]
        for start in range(0, len(entries), size):
            self.client.log_batch(self.theirs, **{kind: entries[start : start + size]})


@dataclass(frozen=True)
class MLflow:
    """One experiment of a store."""

    client: Any
    experiment: str

    def held(self, run_id: str) -> Held:
        found = self._find(run_id)
        if found is None:
            return Held()
        history = self.client.get_metric_history(found.info.run_id, LAST)
        tags: Mapping[str, str] = found.data.tags
        status = Status(tags["status"]) if "status" in tags else Status.STARTED
        return Held(max((metric.step for metric in history), default=0), status)

    def open(self, header: Header) -> _Session:
        from mlflow.entities import Param

        found = self._find(header.run_id) or self.client.create_run(
            self.experiment,
            start_time=round(1000 * header.begin),
            tags={
                "run_id": header.run_id,
                "study": header.study,
                "part": str(header.part),
                "rung": str(header.rung),
            },
            run_name=header.run_id,
        )
        step = self.held(header.run_id).step
        session = _Session(self.client, found.info.run_id, step)
        session._send("params", [Param(name, str(value)) for name, value in header.config.items()])
        self.client.update_run(session.theirs, "RUNNING")
        return session

    def _find(self, run_id: str) -> Any | None:
        runs = self.client.search_runs([self.experiment], f"tags.run_id = '{run_id}'")
        return runs[0] if runs else None


def errors() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException

    return (MlflowException,)


def tracker(place: Path, study: str) -> MLflow:
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # of making a database
    where = os.environ.get("MLFLOW_TRACKING_URI")
    client = mlflow.MlflowClient(where or f"sqlite:///{place.absolute()}/mlflow.db")
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or study
    known = client.get_experiment_by_name(name)
    files = None if where else (place.absolute() / "artifacts").as_uri()
    experiment = known.experiment_id if known else client.create_experiment(name, files)
    return MLflow(client, experiment)


def _metrics(values: Mapping[str, float], point: TrackedStep) -> list[Any]:
    """The values in the order of sending, `LAST` at the end."""
    from mlflow.entities import Metric

    names = sorted(values, key=lambda name: name == LAST)
    return [Metric(name, values[name], round(1000 * point.time), point.step) for name in names]
