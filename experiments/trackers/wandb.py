"""Weights & Biases: a run is a run of the same id there, in a project of the study.

The service's client reads WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE and the rest; the default project
is named after the study. Files lie in FOLDER/wandb.

Online, the service knows the last step of a continued run. Offline, a run is one folder
``offline-run-*`` for ``wandb sync``, always whole: new points go into a new folder, which replaces
the old one once it is complete. ``<run_id>.json`` names that folder, and in either mode the points
sent, so that finished runs are not opened again.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from experiments.record import Status
from experiments.trackers import Ending, Header, Held, TrackedStep
from scaling.common.files import read_json, write_json

PACKAGES = ("wandb",)


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``<run_id>.json``: the points of a run that the service has."""

    destination: str
    step: int
    status: Status
    folder: str  # of an offline run


@dataclass
class _Session:
    run: Any
    step: int
    note: Path
    destination: str
    status: Status = Status.STARTED

    def add(self, points: Sequence[TrackedStep]) -> None:
        for point in points:
            self.run.log(dict(point.values), step=point.step)
            self.step = point.step

    def end(self, ending: Ending) -> None:
        texts = {"status": str(ending.status), "message": ending.message}
        self.run.summary.update({**ending.metrics, **texts})
        self.status = ending.status

    def close(self) -> None:
        self.run.finish(exit_code=int(self.status is Status.FAILED))
        ours = Path(self.run.dir).parent.name
        write_json(self.note, Note(self.destination, self.step, self.status, ours))
        if self.run.offline:
            _leave_only(ours, self.note)


@dataclass(frozen=True)
class WandB:
    """One project."""

    place: Path
    project: str
    destination: str  # of everything, by the client's settings
    is_offline: bool

    def held(self, run_id: str) -> Held:
        path = self._note(run_id)
        note = read_json(path, Note) if path.exists() else None
        if note is None or note.destination != self.destination:
            return Held()
        return Held(note.step, note.status)

    def open(self, header: Header) -> _Session:
        import wandb

        note = self._note(header.run_id)
        if self.is_offline:
            whole = read_json(note, Note).folder if note.exists() else ""
            _leave_only(whole, note)  # the client names folders by the second of their start
        run = wandb.init(
            id=header.run_id,
            name=header.run_id,
            project=self.project,
            group=f"rung {header.rung}",
            job_type=str(header.part),
            tags=[header.study],
            config=dict(header.config),
            dir=self.place.parent,  # the client adds a folder "wandb"
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,  # this machine may not be the training one
                x_disable_stats=True,
            ),
        )
        return _Session(run, max(0, run.starting_step - 1), note, self.destination)

    def _note(self, run_id: str) -> Path:
        return self.place / f"{run_id}.json"


def errors() -> tuple[type[Exception], ...]:
    import wandb

    return (wandb.Error,)


def tracker(place: Path, study: str) -> WandB:
    import wandb

    found = wandb.setup().settings
    project = found.project or study
    destination = " ".join(map(str, (found.mode, found.base_url, found.entity, project)))
    return WandB(place, project, destination, found.mode in ("offline", "dryrun"))


def _leave_only(folder: str, note: Path) -> None:
    """Remove the other offline folders of this run, complete or not."""
    for path in note.parent.glob(f"offline-run-*-{note.stem}"):
        if path.name != folder:
            shutil.rmtree(path)
