"""Launchers: engines that train the populations of a sweep. One file each, found by name.

A file defines ``launcher(workers, resources) -> Launcher``: the user's choices as a value.
Workers claim their runs and write the same records under every engine. So sweeps by different
launchers may share a folder.
"""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.config.overrides import once
from experiments.config.run import RunConfig
from experiments.devices.machine import Platform
from experiments.devices.slot import Slot
from experiments.runs.job import Event, Population
from experiments.training.populations.grouping import Curve
from scaling.common import plugins
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Site:
    """Data and paths that every worker of a sweep needs; workers elsewhere see these paths."""

    cache: Path
    folder: Path  # of the study


class Launcher(ABC):
    """Trains several populations at once, each in a place; all places are of one kind."""

    @property
    @abstractmethod
    def places(self) -> int:
        """The number of populations that may be trained at once."""

    @property
    @abstractmethod
    def platform(self) -> Platform:
        """The kind of device of a place."""

    @abstractmethod
    def slot(self, site: Site) -> Slot:
        """The settings of a worker; a throughput measured with them is kept under them."""

    @abstractmethod
    def measure(self, site: Site, wanted: Sequence[tuple[RunConfig, int]]) -> Sequence[Curve]:
        """The throughput curve of each signature up to a number of members, on such a place."""

    @abstractmethod
    def train(
        self, site: Site, populations: Sequence[Population], watch: Callable[[Event], None]
    ) -> bool:
        """Train the populations in this order; False if interrupted, with populations left.

        Raises:
            UserError: a mistake of the user, or a full disk; all other work is kept.
        """

    def carry_out(self, command: Callable[[], int]) -> int:
        """Carry out a command that trains runs by this launcher; its exit code.

        Of several processes with the same command, one carries it out. All end with its exit code.
        """
        return command()


def chosen(args: argparse.Namespace) -> Launcher:
    """The launcher that a command line names by --launcher, --workers and --resource."""
    resources = once(args.resources, "--resource", {})
    return load(args.launcher, args.workers, resources)


def load(name: str, workers: int | None, resources: Mapping[str, str]) -> Launcher:
    """The launcher of this name with the user's choices.

    Raises:
        UserError: no such launcher, its package is missing, or it lacks a choice.
    """
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers}: must be at least 1")
    launcher: Launcher = plugins.find(__name__, name, "--launcher", "launcher")(workers, resources)
    return launcher
