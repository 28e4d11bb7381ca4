"""Sources of text that the machine has already: files below known folders, by their names.

Documents come folder by folder, in the order of their paths below it, so the same files give the
same corpus wherever they lie.
"""

from __future__ import annotations

import gzip
import importlib.util
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from experiments.config.data import CorpusConfig
from experiments.data.sources._files import folders, is_folder, listed, reason_of
from experiments.data.sources._source import Document, Skipped, Source
from scaling.common.errors import UserError

# Direct dependencies with much Python of their own: `code` and `docstrings` read these.
PACKAGES = ("flax", "grain", "jax", "matplotlib", "msgspec", "numpy", "optax", "orbax", "pandas",
            "rich", "scipy")  # fmt: skip
SKIPPED = frozenset({"__pycache__", "test", "tests", "idle_test", "testing", "_vendor"})


def standard_library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def installed() -> Path:
    """The folder of the installed packages."""
    return Path(sysconfig.get_path("purelib"))


def requirements() -> list[Path]:
    """The .dist-info of each installed package that Windtunnel asks for, by any extra, and of those
    that these ask for in turn; other packages change none of it.
    """
    from importlib import metadata  # takes long

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    facts = {
        str(canonicalize_name(folder.name.partition("-")[0])): folder
        for folder in installed().glob("*.dist-info")
    }
    own = metadata.metadata("windtunnel").get_all("Provides-Extra") or ()
    waiting, seen = [("windtunnel", extra) for extra in ("", *own)], set()
    while waiting:
        wanted = waiting.pop()
        name, extra = wanted
        if wanted in seen or name not in facts:
            continue
        seen.add(wanted)
        for needed in map(Requirement, metadata.requires(name) or ()):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                asked = str(canonicalize_name(needed.name))
                waiting += [(asked, each) for each in ("", *needed.extras)]
    return sorted(facts[name] for name in {name for name, _ in seen})


def package(name: str) -> list[Path]:
    """The folder of a package; none where it is not installed."""
    spec = importlib.util.find_spec(name)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def packages() -> list[Path]:
    """The folders of `PACKAGES` that are installed; other packages change no corpus."""
    return [folder for name in PACKAGES for folder in package(name)]


def is_library(name: str) -> bool:
    return name not in SKIPPED and not name.startswith(".")


def embedded(
    roots: Callable[[], Sequence[Path]],
    is_wanted: Callable[[str], bool],
    usage: str,
    *,
    enters: Callable[[str], bool] = is_library,
    text: Callable[[bytes], bytes] = bytes,
) -> Source:
    """The source of the wanted files below these folders, each one document.

    Args:
        usage: a line that says where the text comes from, and how to get it.
        enters: True for the names of the folders to look in.
        text: the document of a file's content; an empty one is skipped.
    """

    def files(config: CorpusConfig) -> list[Path | Skipped]:
        unlisted: list[Skipped] = []
        found = [
            file
            for root in filter(is_folder, roots())
            for file in sorted(
                folder / name
                for folder in folders(root, enters, unlisted)
                for name in listed(folder, unlisted)
                if is_wanted(name) and not is_folder(folder / name)
            )
        ]
        return [*dict.fromkeys(unlisted), *found]

    def documents(config: CorpusConfig) -> Iterator[Document | Skipped]:
        found = files(config)
        if not any(isinstance(each, Path) for each in found):
            raise UserError(f"data.source={config.source}: no text on this machine; {usage}")
        for each in found:
            yield each if isinstance(each, Skipped) else _read(each, text)

    return Source(documents, takes_path=False, files=files, usage=usage)


def _read(file: Path, text: Callable[[bytes], bytes]) -> Document | Skipped:
    try:
        content = file.read_bytes()
        return Document(str(file), text(gzip.decompress(content)
                                        if file.suffix == ".gz" else content))  # fmt: skip
    except (OSError, EOFError, ValueError, RecursionError) as error:
        return Skipped(str(file), reason_of(error))
