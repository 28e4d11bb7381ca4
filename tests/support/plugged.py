"""A folder of plug-ins outside of the packages, for one test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from scaling.common.plugins import VARIABLE


@contextmanager
def plugged(folder: Path, files: Mapping[str, str]) -> Iterator[None]:
    """`files` from a module's name ("models.mixers.mine") to its text, found until the end."""
    before = {name: list(importlib.import_module(name).__path__) for name in map(_package, files)}
    for name, text in files.items():
        path = folder.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(folder))
        yield
    for name, paths in before.items():
        importlib.import_module(name).__path__[:] = paths
    for name in files:
        sys.modules.pop(name, None)


def _package(name: str) -> str:
    return name.rpartition(".")[0]
