"""Documents, their split by content, and the fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.config.data import CorpusConfig
from experiments.data.documents import Fingerprint, Tally, split_of, usable_documents
from experiments.data.sources._source import Document


def keep(*contents: bytes) -> tuple[list[bytes], Tally]:
    tally = Tally()
    named = [Document(str(i), content) for i, content in enumerate(contents)]
    return [usable.content for usable in usable_documents(named, tally)], tally


def fingerprint(config: CorpusConfig, *contents: bytes) -> str:
    result = Fingerprint(config)
    for content in contents:
        result.add(hashlib.sha256(content).digest())
    return result.text()


def test_empty_binary_and_repeated_documents_are_dropped_and_counted() -> None:
    kept, tally = keep(b"a", b"", b" \n", b"\x89PNG\0\0", b"a", b"caf\xe9", b"b")
    assert kept == [b"a", b"caf\xe9", b"b"]
    assert tally == Tally(documents=3, duplicates=1, empty=2, binary=1, non_utf8=1)
    assert tally.skipped() == (
        "1 duplicates dropped, 2 empty skipped, 1 binary skipped, 1 not UTF-8 (kept)"
    )


@given(st.lists(st.binary(min_size=1), max_size=30), st.floats(0.01, 0.99))
def test_no_content_stands_twice(contents: list[bytes], fraction: float) -> None:
    kept, tally = keep(*contents, *contents)
    assert len(kept) == len(set(kept)) == tally.documents
    assert set(kept) <= set(contents)


def test_the_split_has_the_asked_share_and_is_nested() -> None:
    digests = [hashlib.sha256(str(i).encode()).digest() for i in range(10_000)]
    small = {d for d in digests if split_of(d, 0.05) == "valid"}
    large = {d for d in digests if split_of(d, 0.25) == "valid"}
    assert 430 < len(small) < 570  # 500 expected, standard deviation 22
    assert small < large  # a larger fraction only adds: nothing validated on is trained on


@pytest.mark.parametrize(
    "change",
    [
        {"valid_fraction": 0.1},
        {"tokenizer": "bpe", "vocab_size": 512},
    ],
)
def test_fingerprint_follows_the_rules(change: dict[str, object]) -> None:
    config = CorpusConfig()
    changed = replace(config, **change)  # type: ignore[arg-type]
    assert fingerprint(config, b"a", b"b") != fingerprint(changed, b"a", b"b")


def test_fingerprint_follows_content_and_order_but_not_place() -> None:
    config = CorpusConfig()
    base = fingerprint(config, b"a", b"b")
    assert base == fingerprint(
        CorpusConfig(source="files", path="elsewhere", field="body"), b"a", b"b"
    )
    assert len({base, fingerprint(config, b"a"), fingerprint(config, b"b", b"a")}) == 3
