"""Stored corpora, built once per fingerprint by the first process that needs one.

A cache folder holds::

    <fingerprint>/manifest.json    counts and checksums of the text, the split and the store
    <fingerprint>/tokenizer.json   of a trained tokenizer
    <fingerprint>/train, valid     zarr3 arrays of tokens
    keys/<digest>                  digest of files, sizes and times -> fingerprint
"""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

from experiments.config.data import CorpusConfig, check_corpus
from experiments.data.build import Progress, build_corpus, read_usable
from experiments.data.corpus import Corpus, DamagedError, load_corpus
from experiments.data.documents import Fingerprint, Tally
from experiments.data.keys import files_key, recall_fingerprint, remember_fingerprint
from experiments.data.store import MEMORY_LIMIT
from scaling.common.errors import UserError


def silent(message: str) -> None:
    """Report no progress."""


def prepare(
    config: CorpusConfig,
    cache: Path,
    progress: Progress = silent,
    *,
    memory_limit: int = MEMORY_LIMIT,
) -> Corpus:
    """The corpus of this config, built under ``cache`` unless it is there.

    Stores of up to ``memory_limit`` bytes are held in memory.

    Raises:
        UserError: text is missing or unreadable, the fingerprint differs from the config's, a
            split is empty, or the disk is full.
    """
    check_corpus(config)
    fingerprint = _find_fingerprint(config, cache, progress)
    if config.fingerprint not in ("", fingerprint):
        raise UserError(
            f"data.fingerprint={config.fingerprint}: the text found has {fingerprint}, so it, "
            "its order, split or tokenizer differs; restore it, or clear data.fingerprint"
        )
    folder = cache / fingerprint
    try:
        corpus = load_corpus(folder, memory_limit)
    except DamagedError as damage:
        if folder.exists():
            progress(f"corpus {fingerprint}: {damage}; building it again")
        _build_and_install(config, folder, fingerprint, progress)
        corpus = load_corpus(folder, memory_limit)
    progress(corpus.describe())
    return corpus


def _find_fingerprint(config: CorpusConfig, cache: Path, progress: Progress) -> str:
    key = files_key(config)
    known = recall_fingerprint(key, cache)
    if known:
        return known
    tally, fingerprint = Tally(), Fingerprint(config)
    for document in read_usable(config, tally, progress, "identifying it"):
        fingerprint.add(document.digest)
    if not tally.documents:
        odd = tally.skipped() or "no rows"
        raise UserError(f"data.path={config.path}: no text to train on ({odd})")
    remember_fingerprint(key, cache, fingerprint.text())
    return fingerprint.text()


def _build_and_install(
    config: CorpusConfig, folder: Path, fingerprint: str, progress: Progress
) -> None:
    """Build beside the final place and move in atomically: no reader sees half a corpus."""
    cache = folder.parent
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".building-") as scratch:
            built = Path(scratch) / "corpus"
            built.mkdir()
            manifest = build_corpus(config, built, progress)
            if manifest.fingerprint != fingerprint:
                raise UserError(
                    f"data.path={config.path}: the text changed while it was read; run again"
                )
            _install(built, folder, aside=Path(scratch) / "damaged")
    except OSError as error:
        raise UserError(
            f"{cache}: cannot store the corpus ({error.strerror}); "
            "make room, or choose another folder"
        ) from error


def _install(built: Path, folder: Path, aside: Path) -> None:
    """Move ``built`` to ``folder``, unless another process has put a whole corpus there."""
    try:
        built.replace(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        try:
            load_corpus(folder, MEMORY_LIMIT)
        except DamagedError:
            folder.replace(aside)
            built.replace(folder)
