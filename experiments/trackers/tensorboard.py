"""TensorBoard: event files in FOLDER/tensorboard, one folder per run. No TensorFlow.

All values of a step are one event, and the files show the steps sent: a kill leaves whole steps.
TensorBoard keeps float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.record import Status
from experiments.trackers import Ending, Header, Held, TrackedStep

PACKAGES = ("tensorboard",)
STATUS = "status"  # the tag of a text


@dataclass
class _Session:
    writer: Any
    step: int

    def add(self, points: Sequence[TrackedStep]) -> None:
        for point in points:
            self.step = point.step
            self._write(_scalars(point.values), point.time)
        self.writer.flush()

    def end(self, ending: Ending) -> None:
        from tensorboard.plugins.text.summary_v2 import text_pb

        texts = {STATUS: str(ending.status), "message": ending.message}
        values = [value for tag, text in texts.items() for value in text_pb(tag, text).value]
        self._write([*_scalars(ending.metrics), *values], ending.time)

    def close(self) -> None:
        self.writer.close()

    def _write(self, values: Sequence[Any], time: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        event = Event(summary=Summary(value=values), step=self.step, wall_time=time)
        self.writer.add_event(event)


@dataclass(frozen=True)
class TensorBoard:
    """The event files of one study."""

    place: Path

    def held(self, run_id: str) -> Held:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.util.tensor_util import make_ndarray

        step, status = 0, Status.MISSING
        for path in sorted((self.place / run_id).glob("events.*")):
            for event in EventFileLoader(str(path)).Load():
                step = max(step, event.step)
                for value in event.summary.value:
                    if value.tag == STATUS:
                        status = Status(make_ndarray(value.tensor).item().decode())
        return Held(step, status)

    def open(self, header: Header) -> _Session:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        step = self.held(header.run_id).step
        session = _Session(EventFileWriter(str(self.place / header.run_id)), step)
        if not step:
            config = {**header.config, "rung": header.rung, "part": str(header.part)}
            plan = hparams_pb(config, trial_id=header.run_id, start_time_secs=header.begin)
            session._write(plan.value, header.begin)
        return session


def errors() -> tuple[type[Exception], ...]:
    return ()


def tracker(place: Path, study: str) -> TensorBoard:
    return TensorBoard(place)


def _scalars(values: Mapping[str, float]) -> list[Any]:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
