"""Signs of life of commands: each leaves one while it prepares or trains a study.

A run is claimed by its worker, which begins after the corpora are read and the populations are
measured. The sign is a claim of the command itself, in the cache. So it ends with its process.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from experiments.runs.claim import seems_live, take
from scaling.common.errors import UserError

FOLDER = "under_way"


@contextmanager
def under_way(folder: Path, cache: Path) -> Iterator[None]:
    """Leave a sign that this process prepares or trains the study of a folder.

    A cache that cannot be written to holds no sign, which hinders no training.
    """
    signs = _signs(folder, cache)
    for dead in (each for each in _names(signs) if not seems_live(each)):
        shutil.rmtree(dead, ignore_errors=True)
    sign = signs / secrets.token_hex(8)
    try:
        claim = take(sign)
    except UserError:
        claim = None
    try:
        with claim or nullcontext():
            yield
    finally:
        shutil.rmtree(sign, ignore_errors=True)


def is_under_way(folder: Path, cache: Path) -> bool:
    """Tell if a live process prepares or trains the study of a folder."""
    return any(seems_live(each) for each in _names(_signs(folder, cache)))


def _signs(folder: Path, cache: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return cache / FOLDER / name


def _names(signs: Path) -> list[Path]:
    return list(signs.iterdir()) if signs.is_dir() else []
