"""Original files of a published study: found, or downloaded, and verified by checksum.

A file is read from `$WINDTUNNEL_DATA/<study>/`, as <name> or compressed as <name>.gz, else from the
cache. Else pooch downloads it from the public repository at a pinned commit. A file that differs
from its checksum raises UserError. So does an absent table that was collected from hundreds of
files or from notebooks: it has no single original.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.common.errors import UserError
from scaling.common.files import cache_folder

if TYPE_CHECKING:
    import pandas as pd

HOST = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class TableFile:
    """One file: its name below the study's folder, its SHA-256, and its path in the repository;
    no path for a table that was collected from many."""

    name: str
    sha256: str
    path: str | None


@dataclass(frozen=True)
class Dataset:
    """The run table of one published study. `parse` makes the table from its files, by name."""

    name: str
    paper: str
    licence: str
    repository: str
    commit: str
    files: tuple[TableFile, ...]
    parse: Callable[[Mapping[str, Path]], pd.DataFrame]
    caveats: tuple[str, ...] = ()
    folder: str = ""  # of its files, where another table of the study has them too

    def load(self) -> pd.DataFrame:
        """The table: one row per run, or per point of a curve, as the study's file says. Its
        `attrs` hold the paper and the caveats, for the card of a fit."""
        table = self.parse({file.name: self._find(file) for file in self.files})
        table.attrs = {"paper": self.paper, "caveats": "; ".join(self.caveats)}
        return table

    def _find(self, file: TableFile) -> Path:
        local = os.environ.get("WINDTUNNEL_DATA")
        if local is not None:
            here = Path(local) / (self.folder or self.name) / file.name
            for path in (here, here.with_name(f"{here.name}.gz")):
                if path.exists():
                    _check(path, file)
                    return path
        wanted = f"$WINDTUNNEL_DATA/{self.folder or self.name}/{file.name}"
        if file.path is None:
            raise UserError(
                f"{self.name}: collected from many files of {self.repository}, so it cannot be "
                f"downloaded; put the table in {wanted}"
            )
        return self._download(f"{self.repository}/{self.commit}/{file.path}", file, wanted)

    def _download(self, path: str, file: TableFile, wanted: str) -> Path:
        import pooch

        place = cache_folder() / "published" / self.name / file.name
        try:
            return Path(
                pooch.retrieve(
                    f"{HOST}/{path}",
                    known_hash=f"sha256:{file.sha256}",
                    fname=place.name,
                    path=place.parent,
                    downloader=_fetch,
                )
            )
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.name}: cannot download {path} from {HOST} ({type(error).__name__}); "
                f"put it in {wanted}"
            ) from error


def _fetch(url: str, output: str, _: object) -> None:
    """Download to a file; the connection closes on errors too."""
    try:
        with urllib.request.urlopen(url) as answer, Path(output).open("wb") as file:
            shutil.copyfileobj(answer, file)
    except urllib.error.HTTPError as error:
        error.close()
        raise


def _check(path: Path, file: TableFile) -> None:
    content = path.read_bytes()
    if path.name == f"{Path(file.name).name}.gz":
        content = gzip.decompress(content)
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise UserError(
            f"{path}: not the released file (SHA-256 {found[:12]}, expected {file.sha256[:12]}); "
            "replace it, or remove it to have it downloaded"
        )
