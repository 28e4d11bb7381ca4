"""Trackers: services that show runs, filled from the record alone. One file each.

A tracker file is a `Service`, set up by the service's environment variables. Only its functions
import the service's packages.

The service itself reports the progress of a run; no second copy exists. So a kill can neither
double nor lose a point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from experiments.record import Status, StudyPart
from scaling.common import plugins
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Header:
    """Facts of a run before its first point."""

    run_id: str
    study: str
    part: StudyPart
    rung: int
    config: Mapping[str, bool | int | float | str]  # its science under dotted names
    begin: float  # seconds since 1970


@dataclass(frozen=True)
class TrackedStep:
    """All that the record has of one step of a run, counted from 1."""

    step: int
    time: float  # seconds since 1970; the same whenever the point is sent
    values: Mapping[str, float]  # by the names of metrics.jsonl; NaN where it has null


@dataclass(frozen=True)
class Ending:
    """The end of a run; its metrics are those of summary.json, as ``summary/<name>``."""

    status: Status
    message: str
    time: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Held:
    """State of a run at a service: points up to a step, and perhaps an ending."""

    step: int = 0
    status: Status = Status.MISSING


class Session(Protocol):
    """One run, open for new points."""

    @property
    def step(self) -> int:
        """The last step that the service has."""
        ...

    def add(self, points: Sequence[TrackedStep]) -> None:
        """Send points beyond `step`, in order."""
        ...

    def end(self, ending: Ending) -> None:
        """Send the end of the run, after its last point."""
        ...

    def close(self) -> None:
        """Flush all points to the service."""
        ...


class Tracker(Protocol):
    """A service, for the runs of one study."""

    def held(self, run_id: str) -> Held:
        """The service's state of a run; an upper bound where it gives no answer."""
        ...

    def open(self, header: Header) -> Session:
        """Continue a run, or begin it."""
        ...


class Service(Protocol):
    """The contents of a tracker file."""

    PACKAGES: tuple[str, ...]  # that it imports

    def errors(self) -> tuple[type[Exception], ...]:
        """The service's own exceptions, besides OSError."""
        ...

    def tracker(self, place: Path, study: str) -> Tracker:
        """A tracker of the runs of this study; its files lie in the folder `place`."""
        ...


def names() -> tuple[str, ...]:
    """The trackers that come with the package."""
    return plugins.names(__name__)


def load(name: str) -> Service:
    """The service of this name; none of its packages is imported yet.

    Raises:
        UserError: no such tracker, or a package is missing.
    """
    found = cast(Service, plugins.load(__name__, name, "--tracker"))
    if missing := [package for package in found.PACKAGES if find_spec(package) is None]:
        raise UserError(f"--tracker '{name}': {plugins.missing(missing[0], name)}")
    return found
