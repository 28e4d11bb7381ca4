"""Files at URLs: gs://, s3://, hf://, https://, memory:// and all others that fsspec knows.

A table, a corpus's file or a folder of records is read from a URL as from this machine. `local`
keeps a copy in the cache, and brings what has changed; a listing tells it. Nothing trains there:
claims need a file system of this machine.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import msgspec

from scaling.common.errors import UserError
from scaling.common.files import SCRATCH, cache_folder, read_json, write_json, writing

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # also as a Path has it, with one slash
HERE = ("file", "local")  # schemes of this machine
COPIES = "remote"  # in the cache
INDEX = "remote_index"
PIECE = 64  # files brought at once
# errors of services that are no OSError, by the module that has them once it is in use
SERVICES = {
    "botocore.exceptions": "BotoCoreError",
    "aiohttp": "ClientError",
    "google.auth.exceptions": "GoogleAuthError",
    "httpx": "HTTPError",
}


def is_url(path: str | Path) -> bool:
    """True for gs://bucket/x, which a Path would take for a folder here."""
    return URL.match(str(path)) is not None


def check_local(name: str, path: str | Path, remedy: str) -> None:
    """Refuse a URL where only a path of this machine will do.

    Raises:
        UserError: the path begins with a scheme.
    """
    if is_url(path):
        raise UserError(f"{name} {spelled(path)}: a URL; {remedy}")


def spelled(path: str | Path) -> str:
    """A URL with all its slashes, of which a Path keeps one; file:/// has three."""
    found = URL.match(str(path))
    if found is None:
        return str(path)
    root = "/" if found[1] in HERE else ""
    return f"{found[1]}://{root}{str(path)[found.end() :].lstrip('/')}"


@dataclass(frozen=True)
class RemoteFile:
    """A file at a URL, with as much of a Path as a reader of one file needs."""

    system: Any  # fsspec's
    place: str
    url: str
    token: str  # another one says that the content may be another

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return PurePosixPath(self.place).name

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.place).suffix

    @property
    def stem(self) -> str:
        return PurePosixPath(self.place).stem

    def open(self, mode: str) -> BinaryIO:
        with in_one_line(self.url):
            content: BinaryIO = self.system.open(self.place, mode)
            return content


def system(url: str | Path) -> tuple[Any, str]:
    """The file system of a URL, as fsspec has it, and the place there.

    Raises:
        UserError: an unknown scheme, one whose package is absent, or nothing after it.
    """
    from fsspec.core import url_to_fs

    text = spelled(url)
    if text.endswith(("://", ":///")):
        raise UserError(f"{text}: names no bucket, host or file")
    try:
        with in_one_line(text):
            found, place = url_to_fs(text)
    except ImportError as error:
        raise UserError(
            f"{text}: {error}; s3:// and gs:// are read with pip install -e '.[remote]'"
        ) from error
    except ValueError as error:
        raise UserError(f"{text}: {error}") from error
    return found, str(place)


@contextmanager
def in_one_line(url: str) -> Iterator[None]:
    """Turn an error of the network or the service into one line."""
    services = tuple(
        getattr(sys.modules[module], name)
        for module, name in SERVICES.items()
        if module in sys.modules
    )
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{url}: no such file or folder") from error
    except (OSError, NotImplementedError, *services) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{url}: refused ({reason})") from error


def listed(url: str | Path) -> dict[str, RemoteFile]:
    """The files below a URL by their names there; of one file, by "".

    Raises:
        UserError: there is none, or the service refuses.
    """
    found, root = system(url)
    text = spelled(url).rstrip("/")
    with in_one_line(text):
        found.invalidate_cache()
        info = found.info(root)
        if info["type"] == "file":
            return {"": RemoteFile(found, root, text, _token(info))}
        below = found.find(root, detail=True)
    files = {}
    for place, info in sorted(below.items()):
        name = place.removeprefix(root).strip("/")
        if name and ".." not in PurePosixPath(name).parts:
            files[name] = RemoteFile(found, place, f"{text}/{name}", _token(info))
    if not files:
        raise UserError(f"{text}: no such file or folder")
    return files


def matching(url: str) -> list[RemoteFile]:
    """The files that a URL names: one, those of a folder, or of a glob; none that is hidden.

    Raises:
        UserError: the service refuses, or there is none.
    """
    if not any(letter in url for letter in "*?["):
        return [file for name, file in listed(url).items() if not _is_hidden(name)]
    found, pattern = system(url)
    scheme = f"{URL.match(url)[1]}://"  # type: ignore[index]
    with in_one_line(url):
        below = found.glob(pattern, detail=True)
    return [
        RemoteFile(found, place, spelled(f"{scheme}{place}"), _token(info))
        for place, info in sorted(below.items())
        if info["type"] == "file" and not _is_hidden(place)
    ]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _token(info: Mapping[str, Any]) -> str:
    """All that a listing says of a file: size, times, version, checksum."""
    return hashlib.sha256(repr(sorted(info.items())).encode()).hexdigest()[:24]


class _Index(msgspec.Struct, frozen=True):
    """The tokens of the files in a copy, by name."""

    tokens: dict[str, str] = {}


def local(path: str | Path, leave: Collection[str] = ()) -> Path:
    """The path itself; of a URL the copy in the cache, brought up to date.

    Folders named in `leave` are not brought. A file that is gone there is removed here.

    Raises:
        UserError: there is nothing, or the service refuses.
    """
    if not is_url(path):
        return Path(path)
    found, root = system(path)
    if "file" in tuple(found.protocol):  # a word has letters, so that "file" is none of them
        return Path(root)
    text = spelled(path)
    digest = hashlib.sha256(text.rstrip("/").encode()).hexdigest()[:12]
    copy = cache_folder() / COPIES / digest / PurePosixPath(root).name
    wanted = {
        name: file
        for name, file in listed(text).items()
        if not set(PurePosixPath(name).parts) & set(leave)
    }
    bring(wanted, copy, cache_folder() / INDEX / f"{digest}.json")
    return copy


def bring(wanted: Mapping[str, RemoteFile], copy: Path, index: Path) -> None:
    """Make the files of a folder here those of a listing, but for those that are here already."""
    had = read_json(index, _Index).tokens if index.exists() else {}
    for name in had.keys() - wanted.keys():
        (copy / name).unlink(missing_ok=True)
    fresh = [
        (file, copy / name if name else copy)
        for name, file in wanted.items()
        if had.get(name) != file.token or not (copy / name if name else copy).exists()
    ]
    for start in range(0, len(fresh), PIECE):
        _download(fresh[start : start + PIECE])
    write_json(index, _Index({name: file.token for name, file in wanted.items()}))


def _download(pairs: list[tuple[RemoteFile, Path]]) -> None:
    """Bring files, each whole or not at all."""
    scratch = [path.with_name(path.name + SCRATCH) for _, path in pairs]
    for path in scratch:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    first = pairs[0][0]
    with in_one_line(first.url):
        first.system.get([file.place for file, _ in pairs], [str(path) for path in scratch])
    for path, (_, target) in zip(scratch, pairs, strict=True):
        with writing(target):
            path.replace(target)
