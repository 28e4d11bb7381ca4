"""The .py files of the running interpreter's standard library, without its tests."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from experiments.config.data import CorpusConfig
from experiments.data.sources._files import folders, listed, reason_of
from experiments.data.sources._source import Document, Skipped, Source
from scaling.common.errors import UserError

# Tests, third-party packages, and files that differ between builds of one Python version.
SKIPPED = frozenset({"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test"})
BUILD_PREFIXES = ("config-", "_sysconfigdata")


def documents(config: CorpusConfig) -> Iterator[Document | Skipped]:
    root = Path(sysconfig.get_path("stdlib"))
    unlisted: list[Skipped] = []
    names = sorted(
        (folder / name).relative_to(root).as_posix()
        for folder in folders(root, _is_library, unlisted)
        for name in listed(folder, unlisted)
        if _is_library(name) and name.endswith(".py")
    )
    yield from dict.fromkeys(unlisted)
    if not names:
        raise UserError(
            f"{root}: this Python carries no source of its standard library; "
            "set data.source=files and data.path"
        )
    for name in names:
        try:
            yield Document(name, (root / name).read_bytes())
        except OSError as error:
            yield Skipped(name, reason_of(error))


def _is_library(name: str) -> bool:
    return name not in SKIPPED and not name.startswith(BUILD_PREFIXES)


SOURCE = Source(
    documents, takes_path=False, usage="of the running Python; builds without it need data.path"
)
