"""The user's choices of a launch, checked before a command is made of them.

A launch has a name, that of its study unless another is given. In the bucket it has one folder::

    gs://BUCKET/NAME/source.bundle    the commit that is run, as a git bundle
    gs://BUCKET/NAME/data/            put there by the user: `data/` beside the code on every host
    gs://BUCKET/NAME/runs/            the study's folder, as experiments/record.py has it
    gs://BUCKET/NAME/logs/            the output of each host
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from scaling.common.errors import UserError
from tpu.aot.topologies import Topology

KINDS = ("vm", "queued", "gke")
LONGEST = 28  # letters of a name, as Cluster Toolkit allows


@dataclass(frozen=True)
class Place:
    """The place of a launch: all that is needed to find it again."""

    kind: str  # of `KINDS`
    name: str
    project: str
    zone: str
    bucket: str  # gs://...
    cluster: str | None = None  # of Kubernetes, for gke

    def __post_init__(self) -> None:
        if not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/[^/\s]+)*", self.bucket):
            raise UserError(
                f"--bucket {self.bucket}: not a bucket; give it as gs://BUCKET or gs://BUCKET/PATH"
            )
        if not re.fullmatch(r"[a-z]+-[a-z]+\d+-[a-z0-9]+", self.zone):
            raise UserError(f"--zone {self.zone}: not a zone; it looks like us-east5-a")
        if not re.fullmatch(r"[a-z][-_a-z0-9]*[a-z0-9]", self.name) or len(self.name) > LONGEST:
            raise UserError(
                f"--name {self.name}: small letters, digits, - and _, at most {LONGEST}, "
                "beginning with a letter"
            )
        if (self.kind == "gke") != (self.cluster is not None):
            raise UserError(
                "gke: give the cluster by --cluster"
                if self.kind == "gke"
                else f"--cluster {self.cluster}: of gke alone"
            )

    @property
    def resource(self) -> str:
        """Its name in the cloud, which takes no underscores."""
        return self.name.replace("_", "-")

    @property
    def folder(self) -> str:
        """Its folder in the bucket."""
        return f"{self.bucket}/{self.name}"

    @property
    def runs(self) -> str:
        """The study's folder, on this machine and beside the code on the hosts."""
        return f"runs/{self.name}"


@dataclass(frozen=True)
class Launch:
    """A study to run at a place, on a slice of TPUs."""

    place: Place
    study: str  # a name, or the path of a study file in the repository
    topology: Topology
    arguments: tuple[str, ...] = ()  # more of `windtunnel run`
    spot: bool = False
    service_account: str | None = None
    shared: str | None = None  # SERVER:/SHARE, an NFS share that every host mounts
    image: str | None = None  # of the container, for gke

    def __post_init__(self) -> None:
        kind, slice_ = self.place.kind, self.topology
        if self.shared is not None and not re.fullmatch(r"[\w.-]+:/[\w/.-]+", self.shared):
            raise UserError(f"--shared {self.shared}: not SERVER:/SHARE, as 10.0.0.2:/records")
        if slice_.hosts > 1 and self.shared is None:
            raise UserError(
                f"--accelerator {slice_.accelerator_type}: its {slice_.hosts} hosts write one "
                "record together; give the NFS share that all of them see by --shared SERVER:/SHARE"
            )
        if kind == "vm" and slice_.hosts > 1:
            raise UserError(
                f"--accelerator {slice_.accelerator_type}: {slice_.hosts} hosts; "
                "vm is a single one, rent a slice by queued or gke"
            )
        if kind != "gke" and slice_.generation.runtime is None:
            raise UserError(
                f"--accelerator {slice_.accelerator_type}: {slice_.kind} is of gke alone"
            )
        if (kind == "gke") != (self.image is not None):
            raise UserError(
                "gke: give the container by --image; tpu/README.md describes its build"
                if kind == "gke"
                else f"--image {self.image}: of gke alone"
            )
        for option, given in (
            ("--spot", self.spot),
            ("--service-account", self.service_account),
        ):
            if given and kind == "gke":
                raise UserError(f"{option}: for gke the cluster's node pools decide it")
