"""Typed JSON files, written atomically. With `remote`, the only input and output of this room.

A type is a frozen `msgspec.Struct`. A reader gets that type or one line that names the file and the
field inside it, such as ``summary.json: $.metrics.loss: Expected `float | null`, got `str```. A
number that is not finite is refused on the way out.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from scaling.common.errors import RIGHTS, UserError

SCRATCH = ".tmp"  # ends the name of a file that is being written
MAKE_ROOM = "make room, or choose another folder"
MOVE_AWAY = "move it away"
ELSEWHERE = "choose another place"
REMEDIES: Mapping[int, str] = {
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EEXIST: "something else has its place: move that away",
    errno.ENOTDIR: "something else has its place: move that away",
}

# errors of a whole disk, as against those of one file or folder
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)

T = TypeVar("T")


def cache_folder() -> Path:
    """The folder of corpora, tables and compiled programs: WINDTUNNEL_CACHE, else the user's."""
    return Path(os.environ.get("WINDTUNNEL_CACHE", "~/.cache/windtunnel")).expanduser()


def check_path(path: object) -> None:
    """Check that a value names a place.

    Raises:
        UserError: it is no text and no Path, or empty, which a Path takes for the current folder.
    """
    if not isinstance(path, str | Path):
        raise UserError(f"a {type(path).__name__} where a path was expected; give it as text")
    if not str(path).strip():
        raise UserError(
            f"{str(path)!r}: an empty path; name a file or a folder, such as . for this one"
        )


class DiskError(UserError):
    """The disk is full, read-only or broken: nothing more can be written anywhere on it."""


class UnreadableError(UserError):
    """A file or folder that the system does not let this process read."""


class DamagedError(UserError):
    """A file cut short or overwritten: its content is no JSON, or a line of it is no row."""


class TypedError(UserError):
    """A file is sound JSON, and a field of it is unknown, missing or of another type."""


def write_bytes(path: Path, content: bytes, remedy: str = MAKE_ROOM) -> None:
    """Write a file atomically: a reader sees the old content or the new, never a part.

    A link goes on pointing where it did; a device or a pipe takes the content as it is.

    Raises:
        UserError: the disk refuses.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file() and not path.is_dir():
        with writing(path, remedy):
            path.write_bytes(content)
        return
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}{SCRATCH}")
    with writing(path, remedy):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with scratch.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # the name must not reach the disk before the content
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, remedy: str = MAKE_ROOM) -> Iterator[None]:
    """Turn an error of the disk into one line.

    Raises:
        UserError: the disk refuses; DiskError: it would refuse any other file too.
    """
    try:
        yield
    except OSError as error:
        raise refused(path, error.errno, remedy) from error


def unreadable(path: Path, error: OSError) -> UnreadableError:
    """The error of a file or folder, of which the system named one at fault."""
    return UnreadableError(f"{error.filename or path}: cannot read ({error.strerror})")


def refused(path: Path, number: int | None, remedy: str = MAKE_ROOM) -> UserError:
    """The error of a write that the system refused with this number."""
    kind = DiskError if number in DISK else UserError
    remedy = REMEDIES.get(number or 0, remedy)
    return kind(f"{path}: cannot write ({os.strerror(number or errno.EIO)}); {remedy}")


def output_file(text: str) -> Path:
    """A path to which a file can be written: refused before any work is done otherwise."""
    path = Path(text).expanduser()
    if path.is_dir():
        raise UserError(f"{text or path}: is a folder; name a file in it")
    _check_writable(path)
    return path


def output_folder(text: str | Path) -> Path:
    """A path where a folder is or can be made, likewise."""
    if not str(text).strip():
        raise UserError(f"{str(text)!r}: an empty path; name a folder, such as . for this one")
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise UserError(f"{text}: is a file; name a folder")
    _check_writable(path)
    return path


def _check_writable(path: Path) -> None:
    """Check that the path, or the nearest folder above it that exists, takes new content."""
    place = path
    while not os.path.lexists(place):
        place = place.parent
    if place != path and not place.is_dir():
        raise UserError(f"{path}: {place} is a file, no folder; {ELSEWHERE}")
    try:
        tempfile.TemporaryFile(dir=place if place.is_dir() else place.parent).close()
    except OSError as error:
        raise UserError(f"{path}: cannot write here ({error.strerror}); {ELSEWHERE}") from error
    if not os.access(place, os.W_OK):
        raise UserError(f"{path}: no right to write it; {ELSEWHERE}")


def plain(value: Any) -> Any:
    """Turn structs, enums and tuples into dicts, text and lists, as JSON holds them."""
    return msgspec.to_builtins(value, str_keys=True)


def write_json(path: Path, value: Any, remedy: str = MAKE_ROOM) -> None:
    """Write one value as an indented JSON file, atomically."""
    text = json.dumps(plain(value), indent=1, allow_nan=False) + "\n"
    write_bytes(path, text.encode(), remedy)


def line(value: Any) -> str:
    """One value as one line of JSON."""
    return json.dumps(plain(value), allow_nan=False) + "\n"


def read_json(path: Path, kind: type[T], remedy: str = MOVE_AWAY) -> T:
    """Read one JSON file as a value of `kind`.

    Raises:
        UserError: the file cannot be read.
        DamagedError: its content is not JSON.
        TypedError: a field is unknown, missing or of another type.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    return decode(content, kind, str(path), remedy)


def decode(content: bytes | str, kind: type[T], where: str, remedy: str = MOVE_AWAY) -> T:
    """Parse JSON as a value of `kind`; `where` begins the error. Raises as `read_json` does."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise TypedError(f"{where}: {field_and_reason(error)}; {remedy}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"{where}: not valid JSON ({error}); {remedy}") from error


def field_and_reason(error: msgspec.ValidationError) -> str:
    """The path of the field that is wrong and the reason: ``$.a.b: Expected `int`, got `str```."""
    reason, _, path = str(error).partition(" - at ")
    return f"{path.strip('`') or '$'}: {reason}"
