"""Stored corpora, built once per fingerprint by the first process that needs one.

A cache folder holds::

    <fingerprint>/manifest.json    counts and checksums of the text, the split and the store
    <fingerprint>/tokenizer.json   of a trained tokenizer
    <fingerprint>/train, valid     zarr3 arrays of tokens
    <fingerprint>-<tokenizer>/     the same text under the tokenizer of another corpus
    readings/<digest>.json         digest of files, sizes and times -> fingerprint and counts

Readings are remembered by the times of the files, so that large corpora are read once. The key of a
set of files is the digest of the source that reads them, and of their paths, sizes, modification
and change times. The kernel moves the change time with every write, even one that restores the
rest. A file changed in the last seconds may change again within one tick of that clock: such a set
is not remembered. A file at a URL counts by what its listing says: size, times, version, checksum.
"""

from __future__ import annotations

import errno
import hashlib
import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from experiments.config.data import CorpusConfig, check_corpus
from experiments.data import filters
from experiments.data.build import Built, Progress, build_corpus, read_usable, write_manifest
from experiments.data.corpus import Corpus, DamagedCorpusError, load_corpus
from experiments.data.documents import FINGERPRINT_LETTERS, FORMAT, Fingerprint, Reading, Tally
from experiments.data.sources import UNREADABLE, Skipped, source_of
from experiments.data.sources._files import tokenizer_content
from experiments.data.store import MEMORY_LIMIT
from experiments.data.tokenizer import Tokenizer, digest, stored_content
from scaling.common.errors import UserError
from scaling.common.files import read_json, write_json
from scaling.common.remote import RemoteFile

SETTLED_SECONDS = 2.0
FOLDER = "readings"
RULES = 2  # of reading files; raise it where the same files would give other documents or counts


def silent(message: str) -> None:
    """Report no progress."""


def prepare(
    config: CorpusConfig,
    cache: Path,
    progress: Progress = silent,
    *,
    tokenizer: Tokenizer | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> Corpus:
    """The corpus of this config, built under ``cache`` unless it is there.

    A given tokenizer, of the config's kind and size, takes the place of the corpus's own. Stores of
    up to ``memory_limit`` bytes are held in memory. Files that were never read are read once, and
    twice where a tokenizer is learned from them.

    Raises:
        UserError: text is missing or unreadable, the fingerprint differs from the config's, a
            split is empty, or the disk is full.
    """
    check_corpus(config)
    key = _files_key(config)
    reading = _recall(key, cache)
    if reading is None and key and not config.fingerprint:
        reading = _build_and_install(config, cache, tokenizer, progress)
        _remember(key, cache, reading)
    elif reading is None:
        reading = _read(config, progress)
        _remember(key, cache, reading)
    if config.fingerprint not in ("", reading.fingerprint):
        raise UserError(
            f"data.fingerprint={config.fingerprint}: the text found has {reading.fingerprint}, so "
            "it, its order, split or tokenizer differs; restore it, or take any text by "
            "data.fingerprint= (empty)"
        )
    folder = _place(config, cache, reading.fingerprint, tokenizer)
    try:
        corpus = load_corpus(folder, config, reading.tally, memory_limit)
    except DamagedCorpusError as damage:
        if folder.exists():
            progress(f"corpus {folder.name}: {damage}; building it again")
        _build_and_install(config, cache, tokenizer, progress, reading.fingerprint)
        corpus = load_corpus(folder, config, reading.tally, memory_limit)
    progress(corpus.describe())
    return corpus


def _place(config: CorpusConfig, cache: Path, fingerprint: str, given: Tokenizer | None) -> Path:
    """The folder of a text's tokens, by its own tokenizer or by a given one that differs."""
    own = cache / fingerprint
    if given is None:
        return own
    with suppress(OSError):
        if stored_content(config.tokenizer, own) == given.content:
            return own
    return cache / f"{fingerprint}-{digest(given.content)[:FINGERPRINT_LETTERS]}"


def _read(config: CorpusConfig, progress: Progress) -> Reading:
    """Read the text for its identity alone."""
    tally, fingerprint = Tally(), Fingerprint(config)
    for document in read_usable(config, tally, progress, "identifying it"):
        fingerprint.add(document.digest)
    tally.check(config)
    return Reading(fingerprint.text(), tally)


def _build_and_install(
    config: CorpusConfig,
    cache: Path,
    given: Tokenizer | None,
    progress: Progress,
    expected: str = "",
) -> Reading:
    """Build beside the final place and move in atomically: no reader sees half a corpus.

    Raises:
        UserError: the text has another fingerprint than the expected one, if any.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".building-") as scratch:
            folder = Path(scratch) / "built"
            folder.mkdir()
            built = build_corpus(config, folder, given, progress)
            if expected not in ("", built.reading.fingerprint):
                raise UserError(
                    f"data.path={config.path}: the text changed while it was read; run again"
                )
            _install(config, built, folder, cache, given)
    except OSError as error:
        raise UserError(
            f"{cache}: cannot store the corpus ({error.strerror}); "
            "make room, or choose another folder"
        ) from error
    return built.reading


def _install(
    config: CorpusConfig, built: Built, folder: Path, cache: Path, given: Tokenizer | None
) -> None:
    """Move a built corpus to its place, unless another process has put a whole one there."""
    place = _place(config, cache, built.reading.fingerprint, given)
    write_manifest(built, folder, place.name)
    try:
        folder.replace(place)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        try:
            load_corpus(place, config, Tally(), MEMORY_LIMIT)
        except DamagedCorpusError:
            place.replace(folder.with_name("damaged"))
            folder.replace(place)


def _files_key(config: CorpusConfig) -> str:
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
    if config.filter:
        rules.append(filters.digest(config.filter))
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
        with suppress(OSError):  # a broken link: its name is all there is
            stat = file.stat()
            newest = max(newest, stat.st_ctime)
            row += [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()[:32] if time.time() - newest > SETTLED_SECONDS else ""


def _recall(key: str, cache: Path) -> Reading | None:
    """The reading made under this key earlier, if any."""
    with suppress(UserError):
        return read_json(cache / FOLDER / f"{key}.json", Reading) if key else None
    return None


def _remember(key: str, cache: Path, reading: Reading) -> None:
    """Remember a reading in which nothing was unreadable: that may pass, without a new key.

    With an unwritable cache the files are read again.
    """
    if key and not any(reason.startswith(UNREADABLE) for reason in reading.tally.skipped):
        with suppress(UserError):
            write_json(cache / FOLDER / f"{key}.json", reading)
