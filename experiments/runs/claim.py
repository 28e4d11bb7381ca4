"""Claims: at most one worker trains a run, on one machine or on many that share its folder.

A claim is a file ``claim.N`` in the run's folder; the highest N names the owner. A worker takes the
run by making N+1, which the file system allows only one of several workers. It does so only when
the claim N is free: released, its owner dead, or not touched for `STALE` seconds. The highest claim
is never removed, so a worker that decides late finds it and loses.

The owner touches its file every `BEAT` seconds. Clocks of machines must differ by much less than
`STALE`. An owner that slept for longer finds its file gone if another worker took the run.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import threading
import time
from pathlib import Path
from types import TracebackType

import msgspec

from scaling.common import files
from scaling.common.errors import UserError

BEAT = 5.0  # seconds between two touches
STALE = 60.0  # seconds without a touch after which the owner counts as dead
NAME = re.compile(r"claim\.(\d+)")


class ClaimLostError(Exception):
    """Another worker took the run over; this one must not write to it."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Content of a claim: the process that trains the run."""

    machine: str
    pid: int
    born: str | None  # start of the process, as the kernel counts it
    time: str


class Claim:
    """Ownership of a run; a context that touches the claim until it releases the run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Claim:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._released.set()
        self._thread.join()
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._path, (0, 0))  # stale from here on

    def check(self) -> None:
        """Touch the claim.

        Raises:
            ClaimLostError: another worker took the run over.
        """
        try:
            os.utime(self._path)
        except FileNotFoundError as error:
            raise ClaimLostError(f"{self._path}: taken over by another worker") from error

    def _live(self) -> None:
        while not self._released.wait(BEAT):
            try:
                self.check()
            except ClaimLostError:
                return  # the loop's own check raises
            except OSError:
                continue  # the file system may be back in time


def take(folder: Path) -> Claim | None:
    """Take the run of this folder, made if missing; None if a living worker has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = _numbers(folder)
        if before and _is_held(_path(folder, before[-1])):
            return None
        number = before[-1] + 1 if before else 1
        path = _path(folder, number)
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            return None
        path.write_text(files.line(_owner()), encoding="utf-8")
        if _numbers(folder)[-1] != number:  # decided late: others have claimed since
            path.unlink(missing_ok=True)
            return None
        for old in before:
            _path(folder, old).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot claim the run ({error.strerror}); "
            "make room, or choose another folder with --out"
        ) from error
    return Claim(path)


def is_claimed(folder: Path) -> bool:
    """Tell if a living worker has the run of this folder."""
    numbers = _numbers(folder)
    return bool(numbers) and _is_held(_path(folder, numbers[-1]))


def _path(folder: Path, number: int) -> Path:
    return folder / f"claim.{number}"


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    found = (NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def _is_held(path: Path) -> bool:
    try:
        heard, text = path.stat().st_mtime, path.read_bytes()
    except FileNotFoundError:
        return True  # a newer claim has just replaced it
    if time.time() - heard > STALE:
        return False
    try:
        owner = files.decode(text, Owner, str(path))
    except UserError:  # incomplete, for now or for ever
        return True
    return not (owner.machine == _machine() and _is_dead(owner.pid, owner.born))


def _owner() -> Owner:
    return Owner(
        machine=_machine(),
        pid=os.getpid(),
        born=_born(os.getpid()),
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _machine() -> str:
    """Name of the PID namespace: the host, and on Linux the container on it."""
    with contextlib.suppress(OSError):
        return f"{platform.node()} {Path('/proc/self/ns/pid').readlink()}"
    return platform.node()


def _is_dead(pid: int, born: str | None) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # alive, of another user
    return _born(pid) != born


def _born(pid: int) -> str | None:
    """Start time of a process in the kernel's ticks; a later process of equal PID has another.

    None for a zombie, and where the system has no /proc.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]
