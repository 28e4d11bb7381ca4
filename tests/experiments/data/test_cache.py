"""A corpus is built once, is what it says, and survives damage, races and full disks."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT

from experiments.data import (
    CorpusConfig,
    DiskTokens,
    MemoryTokens,
    MixedTokens,
    chunks,
    prepare,
)
from experiments.data import cache as module
from scaling.common.errors import UserError


def texts(count: int) -> list[bytes]:
    return [f"document {i}: {'abc' * (i % 7)} naïve\n".encode() for i in range(count)]


def write(folder: Path, contents: list[bytes]) -> CorpusConfig:
    folder.mkdir(parents=True, exist_ok=True)
    for i, content in enumerate(contents):
        (folder / f"{i:03d}.txt").write_bytes(content)
    return CorpusConfig(source="files", path=str(folder), valid_fraction=0.2)


@pytest.fixture
def config(tmp_path: Path) -> CorpusConfig:
    return write(tmp_path / "texts", [*texts(60), texts(1)[0], b"", b"\0binary", b"caf\xe9 noir"])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def all_tokens(corpus_split: MemoryTokens | DiskTokens) -> list[int]:
    whole = corpus_split.windows(np.array([0]), corpus_split.tokens)
    return whole[0].tolist()


def test_tokens_are_the_documents_of_each_side_in_order(config: CorpusConfig, cache: Path) -> None:
    corpus = prepare(config, cache)
    kept = [*texts(60), b"caf\xe9 noir"]
    side = {
        name: [c for c in kept if (_share(c) < 0.2) == (name == "valid")]
        for name in ("train", "valid")
    }
    assert min(map(len, side.values())) > 5
    assert bytes(all_tokens(corpus.train)) == b"".join(c + b"\0" for c in side["train"])
    assert bytes(all_tokens(corpus.valid)) == b"".join(c + b"\0" for c in side["valid"])
    left_out = {reason: found.count for reason, found in corpus.tally.skipped.items()}
    assert left_out == {"duplicate": 1, "empty": 1, "binary": 1}
    assert corpus.bytes_per_token("train") == 1
    card = json.loads(json.dumps(corpus.card()))
    assert card["train_documents"] + card["valid_documents"] == card["documents"] == 61
    binary = f"skipped, binary: 1 ({config.path}/062.txt)"
    assert binary in corpus.describe() and binary in card["notes"]


def _share(content: bytes) -> float:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64


def test_bpe_corpus_counts_the_bytes_of_its_tokens(config: CorpusConfig, cache: Path) -> None:
    pytest.importorskip("tokenizers")
    corpus = prepare(replace(config, tokenizer="bpe", vocab_size=300), cache)
    for split, tokens in (("train", corpus.train), ("valid", corpus.valid)):
        ids = all_tokens(tokens)
        spelled = corpus.tokenizer.decode(np.array(ids))
        assert corpus.bytes_per_token(split) == len(spelled) / len(ids) > 1.5
        assert max(ids) < corpus.vocab_size == 300
    assert texts(60)[3] in spelled + corpus.tokenizer.decode(np.array(all_tokens(corpus.train)))
    again = prepare(replace(config, tokenizer="bpe", vocab_size=300), cache)
    assert again.manifest == corpus.manifest


def test_a_second_call_builds_nothing(
    config: CorpusConfig, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(config, cache)
    monkeypatch.setattr(module, "build_corpus", None)
    assert prepare(config, cache).manifest == first.manifest


def test_a_store_above_the_memory_limit_gives_the_same_batches(
    config: CorpusConfig, cache: Path
) -> None:
    held, read = prepare(config, cache), prepare(config, cache, memory_limit=16)
    assert isinstance(held.train, MemoryTokens)
    assert isinstance(read.train, DiskTokens)
    order = {"seed": 3, "sequences": 2, "seq_len": 8, "start_step": 1, "stop_step": 12}
    for a, b in zip(
        chunks(MixedTokens((held.train,)), steps_per_chunk=5, **order),
        chunks(MixedTokens((read.train,)), steps_per_chunk=5, **order),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_fingerprint_follows_the_text_and_can_be_pinned(config: CorpusConfig, cache: Path) -> None:
    first = prepare(config, cache).fingerprint
    assert prepare(replace(config, fingerprint=first), cache).fingerprint == first
    moved = write(Path(config.path).with_name("copy"), [*texts(60), b"caf\xe9 noir"])
    assert prepare(moved, cache).fingerprint == first  # same kept text, same order
    (Path(config.path) / "005.txt").write_bytes(b"another text")
    assert prepare(config, cache).fingerprint != first
    with pytest.raises(UserError, match=f"data.fingerprint={first}: the text found has"):
        prepare(replace(config, fingerprint=first), cache)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        ([b"", b" "], "no text to train on (skipped, empty: 2 ("),
        ([b"\0\1", b""], "skipped, binary: 1 ("),
        ([b"one large text"], "of 1 document(s) none fell in the"),
    ],
)
def test_text_that_cannot_be_trained_on(
    tmp_path: Path, cache: Path, contents: list[bytes], says: str
) -> None:
    with pytest.raises(UserError) as caught:
        prepare(write(tmp_path / "few", contents), cache)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(cache.glob("*/manifest.json"))


@pytest.mark.parametrize(
    "file", ["manifest.json", "tokenizer.json", "train/c/0", "valid/zarr.json"]
)
@pytest.mark.parametrize("damage", ["removed", "altered", "truncated"])
def test_a_damaged_store_is_built_again_with_a_note(
    config: CorpusConfig, cache: Path, file: str, damage: str
) -> None:
    pytest.importorskip("tokenizers")
    config = replace(config, tokenizer="bpe", vocab_size=260)
    corpus = prepare(config, cache)
    before, folder = all_tokens(corpus.train), cache / corpus.fingerprint
    content = (folder / file).read_bytes()
    (folder / file).unlink()
    if damage == "altered":
        (folder / file).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    if damage == "truncated":
        (folder / file).write_bytes(content[: len(content) // 2])
    notes: list[str] = []
    assert all_tokens(prepare(config, cache, notes.append).train) == before
    assert "building it again" in notes[0]
    assert (folder / file).read_bytes() == content
    assert list(cache.glob(".building-*")) == []


def test_a_missing_shard_of_a_large_store_is_noticed(config: CorpusConfig, cache: Path) -> None:
    folder = cache / prepare(config, cache).fingerprint
    (folder / "train" / "c" / "0").unlink()
    notes: list[str] = []
    corpus = prepare(config, cache, notes.append, memory_limit=0)
    assert "building it again" in notes[0]
    assert max(all_tokens(corpus.train)) > 0


@pytest.mark.parametrize("other", ["whole", "damaged"])
def test_two_builders_at_once(
    config: CorpusConfig, cache: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    build, winners = module.build_corpus, []

    def build_while_another_finishes(*arguments: object) -> object:
        monkeypatch.setattr(module, "build_corpus", build)
        winner = prepare(config, cache)
        folder = cache / winner.fingerprint
        if other == "damaged":
            (folder / "train" / "c" / "0").unlink()
        winners.append((winner, folder.stat().st_ino))
        return build(*arguments)

    monkeypatch.setattr(module, "build_corpus", build_while_another_finishes)
    loser = prepare(config, cache)
    ((winner, inode),) = winners
    assert loser.manifest == winner.manifest
    assert all_tokens(loser.train) == all_tokens(winner.train)
    # The first whole corpus stays: another process may be reading it.
    assert ((cache / loser.fingerprint).stat().st_ino == inode) == (other == "whole")
    assert list(cache.glob(".building-*")) == []


def test_text_that_changes_while_it_is_read(
    config: CorpusConfig, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = module.build_corpus

    def edit_first(*arguments: object) -> object:
        (Path(config.path) / "007.txt").write_bytes(b"edited")
        return build(*arguments)

    monkeypatch.setattr(module, "build_corpus", edit_first)
    with pytest.raises(UserError, match="changed while it was read; run again"):
        prepare(config, cache)


@contextmanager
def no_file_above_4_kib() -> Iterator[None]:
    """Around the one call only: the limit binds the test runner's own output as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more(tmp_path: Path, cache: Path) -> None:
    config = write(tmp_path / "texts", [text * 10 for text in texts(60)])
    refused = pytest.raises(UserError, match=r"cannot store the corpus .*make room")
    with refused as caught, no_file_above_4_kib():
        prepare(config, cache)
    assert str(cache) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_a_folder(config: CorpusConfig, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match=r"taken.*cannot store the corpus"):
        prepare(config, tmp_path / "taken" / "cache")


def test_settled_files_are_not_read_again_but_any_write_is_seen(
    config: CorpusConfig, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED_SECONDS", -1.0)
    first = prepare(config, cache)
    with monkeypatch.context() as patch:
        patch.setattr(module, "read_usable", None)
        assert prepare(config, cache).manifest == first.manifest
    file = Path(config.path) / "005.txt"
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    time.sleep(0.02)  # a tick of the file system's clock
    file.write_bytes(file.read_bytes().swapcase())
    os.utime(file, ns=times)
    assert prepare(config, cache).fingerprint != first.fingerprint


def test_files_that_were_never_read_are_read_once(
    config: CorpusConfig, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are identified while they are tokenized, and give the same corpus."""
    first = prepare(config, cache)
    monkeypatch.setattr(module, "SETTLED_SECONDS", -1.0)
    monkeypatch.setattr(module, "read_usable", None)
    again = prepare(config, cache.with_name("other"))
    assert (again.manifest, again.tally) == (first.manifest, first.tally)
    (cache.with_name("other") / again.fingerprint / "manifest.json").unlink()
    assert prepare(config, cache.with_name("other")).manifest == first.manifest


def test_fresh_files_are_not_remembered(config: CorpusConfig, cache: Path) -> None:
    prepare(config, cache)
    assert not (cache / module.FOLDER).exists()


LARGE = """
import resource
import numpy as np
from pathlib import Path
import grain.experimental, tensorstore
from experiments.data import CorpusConfig, DiskTokens, MixedTokens, chunks, prepare

def size(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))

cap = size("VmData") * 1024 + 220 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
corpus = prepare(CorpusConfig(source="large"), Path({cache!r}))
assert corpus.train.tokens > 260 * 2**20 and isinstance(corpus.train, DiskTokens)
drawn = chunks(MixedTokens((corpus.train,)), seed=0, sequences=4, seq_len=64, start_step=0,
               stop_step=20, steps_per_chunk=5)
assert sum(part.shape[0] for part in drawn) == 20
"""
SOURCE = """
'Documents of one megabyte.'
import random
from experiments.data.sources import Document, Source
def documents(config):
    for k in range(300):
        line = "".join(random.Random(k).choices("abcdefgh ", k=999)) + "\\n"
        yield Document(str(k), line.encode() * 1000)
SOURCE = Source(documents, takes_path=False)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is of Linux")
def test_a_corpus_larger_than_memory(tmp_path: Path, cache: Path) -> None:
    """300 MB of text are stored and drawn from within 220 MiB beside the imports."""
    plugin = tmp_path / "experiments" / "data" / "sources" / "large.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(SOURCE)
    code = LARGE.format(cache=str(cache))
    environment = {**os.environ, "WINDTUNNEL_PLUGINS": str(tmp_path), "MALLOC_ARENA_MAX": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)


def test_importing_the_room_is_light() -> None:
    heavy = "{'jax', 'grain', 'tensorstore', 'tokenizers', 'pyarrow', 'pandas'}"
    code = f"import sys, experiments.data; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
