"""Fingerprints remembered by the times of the files, so that large corpora are read once.

The key of a set of files is the digest of their paths, sizes, modification and change times. The
kernel moves the change time with every write, even one that restores the rest. A file changed in
the last seconds may change again within one tick of that clock: such a set is not remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path

from experiments.config.data import CorpusConfig
from experiments.data.documents import FORMAT
from experiments.data.sources import source_of
from scaling.common.errors import UserError
from scaling.common.files import write_bytes

SETTLED_SECONDS = 2.0
FOLDER = "keys"


def files_key(config: CorpusConfig) -> str:
    """The present key of the files; empty where a source reads none, or one changed just now.

    Take it before reading the files.
    """
    files = source_of(config).files
    if files is None:
        return ""
    rules = [FORMAT, config.field, config.tokenizer, config.vocab_size, config.valid_fraction]
    digest = hashlib.sha256(json.dumps(rules).encode())
    newest = 0.0
    for path in files(config):
        stat = path.stat()
        newest = max(newest, stat.st_ctime)
        row = [str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()[:32] if time.time() - newest > SETTLED_SECONDS else ""


def recall_fingerprint(key: str, cache: Path) -> str:
    """The fingerprint found under this key earlier, or empty."""
    try:
        return (cache / FOLDER / key).read_text(encoding="utf-8") if key else ""
    except OSError:
        return ""


def remember_fingerprint(key: str, cache: Path, fingerprint: str) -> None:
    """Remember a fingerprint; with an unwritable cache the files are read again."""
    if not key:
        return
    with contextlib.suppress(UserError):
        write_bytes(cache / FOLDER / key, fingerprint.encode())
