"""Launchers: who trains the packs of a sweep, and where. One file each, found by its name.

A launcher file defines ``launcher(workers, resources) -> Launcher``: the user's choices as a value.
What it launches claims its runs and leaves the same records whatever the engine, so that sweeps by
different launchers may share a folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from experiments.config.data import DataConfig
from experiments.config.overrides import split
from experiments.config.run import RunConfig
from experiments.launchers._worker import Bench
from experiments.runs.job import Event, Pack
from experiments.training.populations.grouping import Curve
from scaling.common import plugins
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Site:
    """What every worker of a sweep needs besides its packs. Workers elsewhere see these paths."""

    data: DataConfig
    cache: Path
    folder: Path  # of the study


class Launcher(Protocol):
    """Trains packs in some number of places at once, all of one kind."""

    @property
    def places(self) -> int:
        """How many packs may be trained at once."""
        ...

    @property
    def platform(self) -> Literal["cpu", "accelerator"]:
        """What a place computes with."""
        ...

    def bench(self, site: Site) -> Bench:
        """What a place works with; a throughput measured there is kept by it."""
        ...

    def measure(self, site: Site, wanted: Sequence[tuple[RunConfig, int]]) -> Sequence[Curve]:
        """The throughput curve of each signature up to a number of members, on such a place."""
        ...

    def train(self, site: Site, packs: Sequence[Pack], watch: Callable[[Event], None]) -> bool:
        """Train the packs in this order; False if it was interrupted, with packs left.

        Raises:
            UserError: for a mistake of the user or the end of the disk; none of the rest is lost.
        """
        ...


@runtime_checkable
class Gathering(Protocol):
    """A launcher whose processes are each given the whole command."""

    def carry_out(self, command: Callable[[], int]) -> int:
        """Carry it out in one of them, with the help of the others; its exit code in all."""
        ...


def carry_out(launcher: Launcher, command: Callable[[], int]) -> int:
    """A command that has runs trained by this launcher; its exit code."""
    return launcher.carry_out(command) if isinstance(launcher, Gathering) else command()


def names() -> tuple[str, ...]:
    """The launchers that come with the package."""
    return plugins.names(__name__)


def chosen(args: argparse.Namespace) -> Launcher:
    """The launcher that a command line names by --launcher, --workers and --resource."""
    resources = dict(split(text, "--resource") for text in args.resources)
    return load(args.launcher, args.workers, resources)


def load(name: str, workers: int | None, resources: Mapping[str, str]) -> Launcher:
    """The launcher of this name with the user's choices.

    Raises:
        UserError: no such launcher, its package is missing, or a choice that it does not know.
    """
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers}: must be at least 1")
    launcher: Launcher = plugins.load(__name__, name, "--launcher").launcher(workers, resources)
    return launcher
