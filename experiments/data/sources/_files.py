"""Files by name: a file, a folder or a glob; links are followed, and each file counts once.

Names that are not hidden are found, as by a shell. ``folder`` stands for ``folder/**/*``. The order
is that of the real paths: it is the same for every way of naming the same files.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from experiments.config.data import CorpusConfig
from experiments.data.sources._source import UNREADABLE, Skipped, printable
from scaling.common.errors import UserError
from scaling.common.remote import local

ANY_DEPTH = "**"
MAGIC = re.compile(r"[*?\[]")
KINDS: Mapping[Callable[[int], bool], str] = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISDIR: "a folder, which no part of the glob enters",
}


def find(name: str, unlisted: list[Skipped]) -> list[Path]:
    """The files that one name stands for; folders that cannot be read join ``unlisted``."""
    path = home(name)
    parts, found = path.parts, [Path()]
    if is_folder(path):
        found, parts = [path], (ANY_DEPTH, "*")
    elif os.path.lexists(path):
        found, parts = [path], ()
    elif parts[-1:] == (ANY_DEPTH,):
        parts = (*parts, "*")
    for part in parts:
        found = [each for folder in found for each in _below(folder, part, unlisted)]
    return [each for each in found if ANY_DEPTH not in parts or not is_folder(each)]


def is_folder(path: Path) -> bool:
    """True for a folder; False, where Path.is_dir raises, below one that cannot be entered."""
    return os.path.isdir(path)  # noqa: PTH112


def home(name: str) -> Path:
    """The path, with "~" where such a user has a home: Path.expanduser raises for others."""
    return Path(os.path.expanduser(name))  # noqa: PTH111


def folders(root: Path, wanted: Callable[[str], bool], unlisted: list[Skipped]) -> Iterator[Path]:
    """``root`` and the wanted folders below it, each real folder once: links may be circular."""
    entered, waiting = set(), [root]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real not in entered:
            entered.add(real)
            yield folder
            below = (folder / name for name in listed(folder, unlisted) if wanted(name))
            waiting += filter(is_folder, below)


def listed(folder: Path, unlisted: list[Skipped]) -> list[str]:
    """The names in a folder, sorted; none in a file, or in a folder that cannot be read."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except NotADirectoryError:
        return []
    except OSError as error:
        unlisted.append(Skipped(printable(str(folder)), reason_of(error)))
        return []


def no_file(path: Path) -> str | None:
    """The reason why a path is no regular file; None for one."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"a broken link ({error.strerror})" if path.is_symlink() else reason_of(error)
    return next((kind for test, kind in KINDS.items() if test(mode)), None)


def reason_of(error: Exception) -> str:
    """The reason of an error of the system, or of content that a decoder refuses."""
    if isinstance(error, OSError) and error.strerror:
        return f"{UNREADABLE} ({error.strerror})"
    return f"damaged ({one_line(error)})"


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def tokenizer_content(config: CorpusConfig) -> bytes:
    """The content of data.tokenizer_file; empty for other tokenizers.

    Raises:
        UserError: it cannot be read, here or at its URL.
    """
    if config.tokenizer != "file":
        return b""
    try:
        return local(config.tokenizer_file).expanduser().read_bytes()
    except OSError as error:
        raise UserError(
            f"data.tokenizer_file={config.tokenizer_file}: cannot read it ({error.strerror})"
        ) from error


def is_visible(name: str) -> bool:
    return not name.startswith(".")


def _below(folder: Path, part: str, unlisted: list[Skipped]) -> Iterable[Path]:
    """The paths that one part of a glob stands for in a folder."""
    if part == ANY_DEPTH:
        return folders(folder, is_visible, unlisted) if is_folder(folder) else ()
    if not MAGIC.search(part):
        return [folder / part] if os.path.lexists(folder / part) else ()
    names = fnmatch.filter(listed(folder, unlisted), part)
    return [folder / name for name in names if is_visible(name) or not is_visible(part)]
