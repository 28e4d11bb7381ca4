"""The process of each host: it trains the study, and copies its records to a bucket.

Records need a file system that renames and locks files, which a bucket does not. So the study's
folder is on the disk of the host. For a slice of several hosts it is on a share that all of them
see. The bucket has a copy at most a minute old, from which a new machine continues.

The copy is a snapshot, as sound as the files after a `kill -9`. Checkpoints come first, by hard
links, then everything else: no checkpoint is ahead of its rows of metrics. Dropped checkpoints are
deleted after new objects are sent, so the bucket always has a whole one. Claims stay behind: on
another machine they would count as a living owner's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.record import AGAIN, CHECKPOINTS, SCRATCH
from scaling.common.errors import UserError

LEFT = (CHECKPOINTS, "claim.*", f"*{SCRATCH}")  # out of the second half of a snapshot
NOT_CHECKPOINTS = rf"--exclude=^(?!.*/{CHECKPOINTS}/).*"


@dataclass(frozen=True)
class Host:
    """One host of a launch."""

    folder: str  # gs://BUCKET/NAME
    shared: Path | None
    worker: int
    log: Path | None

    @property
    def runs(self) -> Path:
        return (self.shared or Path()) / "runs" / self.folder.rpartition("/")[2]

    def train(self, words: Sequence[str], every: float) -> int:
        """Train the study; its exit code, or 75 if its last records could not be sent.

        Raises:
            UserError: the bucket does not answer; a study begun anew would replace its records.
        """
        self._take()
        command = [sys.executable, "-m", "experiments", "run", *words, "--out", str(self.runs)]
        if self.shared is not None:  # the hosts of a slice train each run together
            command += ["--launcher", "group", "--cache", str(self.shared / "cache")]
        with _stopped_with(subprocess.Popen(command)) as child:
            while True:
                try:
                    code = child.wait(every)
                    break
                except subprocess.TimeoutExpired:
                    self.send()
        return code if self.send() or code else AGAIN

    def _take(self) -> None:
        """Copy data from the bucket to every host, and missing records to the first.

        On a share they may have outlived the machine; the other hosts wait for the first.
        """
        listing = subprocess.run(
            ["gcloud", "storage", "ls", f"{self.folder}/"], stdout=subprocess.PIPE, text=True
        )
        if listing.returncode:
            raise UserError(f"{self.folder}: cannot be listed; may this machine read the bucket?")
        wanted = {"data": Path("data")} | ({"runs": self.runs} if self.worker == 0 else {})
        for name, path in wanted.items():
            if f"{self.folder}/{name}/" in listing.stdout.splitlines():
                path.mkdir(parents=True, exist_ok=True)
                if not _rsync(f"{self.folder}/{name}", str(path), "--no-clobber"):
                    raise UserError(f"{self.folder}/{name}: cannot be copied to {path}")

    def send(self) -> bool:
        """Send records and log to the bucket; False where some did not arrive."""
        if self.log is not None:
            target = f"{self.folder}/logs/worker-{self.worker}.log"
            subprocess.run(["gcloud", "storage", "cp", str(self.log), target])
        if self.worker != 0 or not self.runs.exists():
            return True
        copy = self.runs.with_name(f".{self.runs.name}.sent")
        snapshot(self.runs, copy)
        target = f"{self.folder}/runs"
        return _rsync(str(copy), target) and _rsync(
            str(copy), target, "--delete-unmatched-destination-objects", NOT_CHECKPOINTS
        )


def snapshot(runs: Path, copy: Path) -> None:
    """A copy of a study's folder during training; files that vanish meanwhile are left out."""
    shutil.rmtree(copy, ignore_errors=True)
    for checkpoints in runs.glob(f"*/{CHECKPOINTS}"):
        with contextlib.suppress(shutil.Error):
            shutil.copytree(
                checkpoints, copy / checkpoints.relative_to(runs), copy_function=os.link
            )
    with contextlib.suppress(shutil.Error):
        shutil.copytree(runs, copy, ignore=shutil.ignore_patterns(*LEFT), dirs_exist_ok=True)


def _rsync(source: str, target: str, *more: str) -> bool:
    command = ["gcloud", "storage", "rsync", "--recursive", source, target, *more]
    done = subprocess.run(command)
    if done.returncode:
        print(f"{source} -> {target}: failed, tried again later", file=sys.stderr)
    return done.returncode == 0


@contextlib.contextmanager
def _stopped_with(child: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """The child, to which SIGTERM is passed on, so that it saves its checkpoints."""
    before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        yield child
    finally:
        signal.signal(signal.SIGTERM, before)
