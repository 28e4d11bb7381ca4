"""Claims: at most one worker trains a run, on one machine or on many that share its folder.

A claim is a file ``claim.N`` in the run's folder; the highest N names the owner. A worker takes the
run by making N+1, which the file system allows only one of several workers. It does so only when
the claim N is free. The highest claim is never removed, so a worker that decides late finds it and
loses. An owner that slept finds its own file gone, or another's token in it.

The owner touches its file every `BEAT` seconds. A claim is free in three cases:

- It was released: its time is 0.
- Its owner is dead by the process table: of this host, boot and namespaces, where no process of its
  number has its start. An owner that the table shows alive and not stopped keeps its run.
- Its time stood still while this process watched for `STALE` seconds by its own monotonic clock.
  The watcher then releases it for all.

No two clocks are compared, so a clock that jumps or differs takes no run.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec

from scaling.common import files
from scaling.common.errors import UserError

BEAT = 5.0  # seconds between two touches
STALE = 60.0  # seconds of silence, while watched, after which the owner counts as dead
NAME = re.compile(r"claim\.(\d+)")


class ClaimLostError(Exception):
    """Another worker took the run over; this one must not write to it."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Content of a claim: the process that trains the run."""

    host: str
    boot: str | None  # random name of the kernel's start; None where the system has none
    namespaces: str  # of process numbers and of time
    pid: int
    born: str | None  # start of the process, as the kernel counts it
    token: str  # random, of this claim
    time: str


@dataclass
class _Watch:
    """Silence of a claim, as far as this process watched it."""

    time: int  # of the file
    looked: float
    silence: float = 0.0


_watches: dict[Path, _Watch] = {}


class Claim:
    """Ownership of a run; a context that touches the claim until it releases the run."""

    def __init__(self, path: Path, text: bytes) -> None:
        self._path, self._text = path, text
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
            if self._path.read_bytes() == self._text:
                _release(self._path)

    def check(self) -> None:
        """Touch the claim.

        Raises:
            ClaimLostError: another worker took the run over.
        """
        with contextlib.suppress(FileNotFoundError):
            if self._path.read_bytes() == self._text:
                os.utime(self._path)
                return
        raise ClaimLostError(f"{self._path}: taken over by another worker")

    def _live(self) -> None:
        while not self._released.wait(BEAT):
            try:
                self.check()
            except ClaimLostError:
                return  # the loop's own check raises
            except OSError:
                continue  # the file system may be back in time


def take(folder: Path) -> Claim | None:
    """Take the run of this folder, made if missing; None if a worker has it."""
    text = files.line(_owner()).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before, number = _seen(folder)
        if before and _is_held(_path(folder, before[-1])):
            return None
        path = _path(folder, number)
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            return None
        path.write_bytes(text)
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
    return Claim(path, text)


def is_claimed(folder: Path) -> bool:
    """Tell if a worker has the run of this folder; a dead one elsewhere, until its silence."""
    path = _latest(folder)
    return path is not None and _is_held(path)


def seems_live(folder: Path) -> bool:
    """Guess, without watching, if a worker has the run: by the times of the claim and of now."""
    path = _latest(folder)
    if path is None or not _is_held(path):
        return False
    with contextlib.suppress(FileNotFoundError):
        owner = _decoded(path.read_bytes(), path)
        is_alive = owner is not None and _life(owner) == "alive"
        return is_alive or time.time() - path.stat().st_mtime < STALE
    return True


def take_patiently(folder: Path) -> Claim | None:
    """Take the run; watch an owner not heard of for long until its silence. None if one lives."""
    while (claim := take(folder)) is None and not seems_live(folder):
        time.sleep(BEAT / 2)
    return claim


@dataclass(frozen=True)
class Holder:
    """The owner of a claim, and its last sign of life, in words."""

    name: str
    heard: str


def holder(folder: Path) -> Holder | None:
    """The owner of the run of this folder; None if it is free."""
    path = _latest(folder)
    if path is None or not _is_held(path):
        return None
    try:
        age, text = time.time() - path.stat().st_mtime, path.read_bytes()
    except FileNotFoundError:  # a newer claim has just replaced it
        return holder(folder)
    owner = _decoded(text, path)
    name = (
        f"process {owner.pid} on {owner.host}" if owner else f"a claim that cannot be read ({path})"
    )
    return Holder(name, f"{age:.0f} s ago" if age >= 0 else f"{-age:.0f} s in the future")


def _path(folder: Path, number: int) -> Path:
    return folder / f"claim.{number}"


def _numbers(folder: Path) -> list[int]:
    return _seen(folder)[0]


def _seen(folder: Path) -> tuple[list[int], int]:
    """The numbers of all claims, and the first above every name of one, by a single look.

    A folder, a pipe or a dangling link of such a name is no claim.
    """
    if not folder.is_dir():
        return [], 1
    found = ((NAME.fullmatch(path.name), path) for path in folder.iterdir())
    named = {int(match[1]): path for match, path in found if match}
    numbers = sorted(number for number, path in named.items() if path.is_file())
    return numbers, max(named, default=0) + 1


def _latest(folder: Path) -> Path | None:
    numbers = _numbers(folder)
    return _path(folder, numbers[-1]) if numbers else None


def _release(path: Path) -> None:
    os.utime(path, (0, 0))


def _is_held(path: Path) -> bool:
    try:
        modified, text = path.stat().st_mtime_ns, path.read_bytes()
    except FileNotFoundError:
        return True  # a newer claim has just replaced it
    if modified == 0:
        return False
    owner = _decoded(text, path)
    life = _life(owner) if owner else "unknown"
    if life == "unknown" and _is_silent(path, modified):
        with contextlib.suppress(OSError):  # the taker says that it cannot write
            _release(path)
        return False
    return life != "dead"


def _is_silent(path: Path, modified: int) -> bool:
    """Tell if the claim stood still for `STALE` seconds of looks.

    A look adds `BEAT` seconds at most: after a pause of both processes the owner has time to beat.
    """
    now = time.monotonic()
    watch = _watches.get(path)
    if watch is None or watch.time != modified:
        _watches[path] = _Watch(modified, now)
        return False
    watch.silence += min(now - watch.looked, BEAT)
    watch.looked = now
    return watch.silence >= STALE


def _decoded(text: bytes, path: Path) -> Owner | None:
    try:
        return files.decode(text, Owner, str(path))
    except UserError:  # incomplete, for now or for ever
        return None


def _owner() -> Owner:
    host, boot, namespaces = _machine()
    return Owner(
        host=host,
        boot=boot,
        namespaces=namespaces,
        pid=os.getpid(),
        born=_born(os.getpid()),
        token=secrets.token_hex(8),
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


@cache
def _machine() -> tuple[str, str | None, str]:
    """The host, its boot and its namespaces: together one process table.

    Equal names of host and namespace are common; the kernel draws the boot's at random.
    """
    boot, namespaces = None, []
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    for name in ("pid", "time"):
        with contextlib.suppress(OSError):
            namespaces.append(str(Path(f"/proc/self/ns/{name}").readlink()))
    return platform.node(), boot, " ".join(namespaces)


def _life(owner: Owner) -> Literal["alive", "dead", "unknown"]:
    """State of an owner by the process table; unknown of another machine, or a stopped process."""
    if owner.boot is None or (owner.host, owner.boot, owner.namespaces) != _machine():
        return "unknown"
    with contextlib.suppress(PermissionError):  # some process, of another user
        try:
            os.kill(owner.pid, 0)
        except (ProcessLookupError, OverflowError):
            return "dead"
    try:
        state, born = _stat(owner.pid)
    except OSError:  # another user's may be hidden
        return "unknown"
    if state in "ZX" or born != owner.born:
        return "dead"
    return "unknown" if state in "Tt" else "alive"


def _stat(pid: int) -> tuple[str, str]:
    """State of a process, and its start in the kernel's ticks: another for a later process."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    state, *fields = text.rpartition(")")[2].split()
    return state, fields[18]


def _born(pid: int) -> str | None:
    with contextlib.suppress(OSError):
        return _stat(pid)[1]
    return None
