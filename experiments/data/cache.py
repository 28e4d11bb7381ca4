"""Stored corpora, built once per fingerprint by the first process that needs one.

A cache folder holds::

    <fingerprint>/manifest.json    counts and checksums of the text, the split and the store
    <fingerprint>/tokenizer.json   of a trained tokenizer
    <fingerprint>/train, valid     zarr3 arrays of tokens
    <fingerprint>-<tokenizer>/     the same text under the tokenizer of another corpus
    readings/<digest>.json         digest of files, sizes and times -> fingerprint and counts
"""

from __future__ import annotations

import errno
import tempfile
from contextlib import suppress
from pathlib import Path

from experiments.config.data import CorpusConfig, check_corpus
from experiments.data.build import Progress, build_corpus, read_usable
from experiments.data.corpus import Corpus, DamagedCorpusError, load_corpus
from experiments.data.documents import FINGERPRINT_LETTERS, Fingerprint, Reading, Tally
from experiments.data.keys import files_key, recall, remember
from experiments.data.store import MEMORY_LIMIT
from experiments.data.tokenizer import Tokenizer, digest, stored_content
from scaling.common.errors import UserError


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
    up to ``memory_limit`` bytes are held in memory.

    Raises:
        UserError: text is missing or unreadable, the fingerprint differs from the config's, a
            split is empty, or the disk is full.
    """
    check_corpus(config)
    reading = _read(config, cache, progress)
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
        _build_and_install(config, folder, reading, tokenizer, progress)
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


def _read(config: CorpusConfig, cache: Path, progress: Progress) -> Reading:
    key = files_key(config)
    known = recall(key, cache)
    if known:
        return known
    tally, fingerprint = Tally(), Fingerprint(config)
    for document in read_usable(config, tally, progress, "identifying it"):
        fingerprint.add(document.digest)
    if not tally.documents:
        odd = "; ".join(tally.lines()) or "no rows"
        raise UserError(f"data.path={config.path}: no text to train on ({odd})")
    reading = Reading(fingerprint.text(), tally)
    remember(key, cache, reading)
    return reading


def _build_and_install(
    config: CorpusConfig,
    folder: Path,
    reading: Reading,
    given: Tokenizer | None,
    progress: Progress,
) -> None:
    """Build beside the final place and move in atomically: no reader sees half a corpus."""
    cache = folder.parent
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".building-") as scratch:
            built = Path(scratch) / folder.name
            built.mkdir()
            if build_corpus(config, built, given, progress) != reading.fingerprint:
                raise UserError(
                    f"data.path={config.path}: the text changed while it was read; run again"
                )
            _install(config, built, folder, aside=Path(scratch) / "damaged")
    except OSError as error:
        raise UserError(
            f"{cache}: cannot store the corpus ({error.strerror}); "
            "make room, or choose another folder"
        ) from error


def _install(config: CorpusConfig, built: Path, folder: Path, aside: Path) -> None:
    """Move ``built`` to ``folder``, unless another process has put a whole corpus there."""
    try:
        built.replace(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        try:
            load_corpus(folder, config, Tally(), MEMORY_LIMIT)
        except DamagedCorpusError:
            folder.replace(aside)
            built.replace(folder)
