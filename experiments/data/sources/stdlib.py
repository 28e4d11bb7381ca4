"""The .py files of the running interpreter's standard library, without its tests."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from experiments.config.data import CorpusConfig
from experiments.data.sources._files import read_file, walk
from experiments.data.sources._source import Document, Source
from scaling.common.errors import UserError

# Tests, third-party packages, and files that differ between builds of one Python version.
SKIPPED = frozenset({"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test"})
BUILD_PREFIXES = ("config-", "_sysconfigdata")


def documents(config: CorpusConfig) -> Iterator[Document]:
    root = Path(sysconfig.get_path("stdlib"))
    names = sorted(
        path.relative_to(root).as_posix()
        for path in walk(root, _is_library)
        if path.suffix == ".py"
    )
    if not names:
        raise UserError(
            f"{root}: this Python carries no source of its standard library; "
            "set data.source=files and data.path"
        )
    for name in names:
        yield Document(name, read_file(root / name))


def _is_library(name: str) -> bool:
    return name not in SKIPPED and not name.startswith(BUILD_PREFIXES)


SOURCE = Source(documents, takes_path=False)
