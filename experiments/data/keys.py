"""Readings remembered by the times of the files, so that large corpora are read once.

The key of a set of files is the digest of the source that reads them, and of their paths, sizes,
modification and change times. The kernel moves the change time with every write, even one that
restores the rest. A file changed in the last seconds may change again within one tick of that
clock: such a set is not remembered.
A file at a URL counts by what its listing says: size, times, version, checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path

from experiments.config.data import CorpusConfig
from experiments.data.documents import FORMAT, Reading
from experiments.data.sources import UNREADABLE, Skipped, source_of
from experiments.data.sources._files import tokenizer_content
from scaling.common.errors import UserError
from scaling.common.files import read_json, write_json
from scaling.common.remote import RemoteFile

SETTLED_SECONDS = 2.0
FOLDER = "readings"
RULES = 2  # of reading files; raise it where the same files would give other documents or counts


def files_key(config: CorpusConfig) -> str:
    """The present key of the files; empty where it cannot stand for them.

    So it is where a source reads none, a folder cannot be listed, a file changed just now, or other
    sources are left out.

    Take it before reading the files.
    """
    files = source_of(config).files
    if files is None or config.without:
        return ""
    rules = [FORMAT, RULES, config.source, config.field, config.tokenizer, config.vocab_size]
    if config.filter or config.duplicates == "keep":
        rules += [config.filter, config.keep, config.duplicates]
    digest = hashlib.sha256(json.dumps([*rules, config.valid_fraction]).encode())
    digest.update(tokenizer_content(config))
    newest = 0.0
    for file in files(config):
        if isinstance(file, Skipped):
            return ""
        if isinstance(file, RemoteFile):
            digest.update(json.dumps([file.url, file.token]).encode())
            continue
        row: list[object] = [str(file.absolute())]
        with contextlib.suppress(OSError):  # a broken link: its name is all there is
            stat = file.stat()
            newest = max(newest, stat.st_ctime)
            row += [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()[:32] if time.time() - newest > SETTLED_SECONDS else ""


def recall(key: str, cache: Path) -> Reading | None:
    """The reading made under this key earlier, if any."""
    with contextlib.suppress(UserError):
        return read_json(cache / FOLDER / f"{key}.json", Reading) if key else None
    return None


def remember(key: str, cache: Path, reading: Reading) -> None:
    """Remember a reading in which nothing was unreadable: that may pass, without a new key.

    With an unwritable cache the files are read again.
    """
    if key and not any(reason.startswith(UNREADABLE) for reason in reading.tally.skipped):
        with contextlib.suppress(UserError):
            write_json(cache / FOLDER / f"{key}.json", reading)
