"""Documents, their split by content, and the fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.config.data import CorpusConfig
from experiments.data.documents import NOT_UTF8, Fingerprint, Tally, split_of, usable_documents
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


def test_all_that_is_left_out_or_odd_is_named_with_its_reason() -> None:
    binary = (b"t" * 9000 + b"\0", b"\xff\xd8\x02\x10 no byte 0")
    kept, tally = keep(b"a", b"", b" \n", b"\x89PNG\0\0", b"a", b"caf\xe9", b"b", *binary)
    assert kept == [b"a", b"caf\xe9", b"b"]
    assert tally.documents == 3
    assert tally.lines() == [
        "skipped, empty: 2 (1, 2)",
        "skipped, binary: 3 (3, 7, 8)",
        "skipped, duplicate: 1 (4)",
        f"{NOT_UTF8}: 1 (5)",
    ]


def test_many_of_one_reason_are_counted_and_three_are_named() -> None:
    _, few = keep(*[b""] * 10)
    _, many = keep(*[b""] * 5000)
    assert few.lines() == ["skipped, empty: 10 (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)"]
    assert many.lines() == ["skipped, empty: 5,000 (0, 1, 2 and 4,997 more)"]
    assert len(many.skipped["empty"].names) == 10


def test_names_that_cannot_be_printed_are_spelled_out() -> None:
    tally = Tally()
    tally.skip("a\nb\udcff", "empty")
    assert tally.lines() == ["skipped, empty: 1 (a\\nb\\udcff)"]


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
