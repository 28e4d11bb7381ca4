"""Tokens stand for bytes, exactly."""

from __future__ import annotations

import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.config.data import CorpusConfig, DataConfig
from experiments.data import Corpora
from experiments.data.sources import SEPARATOR
from experiments.data.tokenizer import (
    BpeTokenizer,
    ByteTokenizer,
    build_tokenizer,
    load_tokenizer,
    store_tokenizer,
    stored_content,
    train_bpe,
)
from scaling.common.errors import UserError

TEXT = ("the cat sat on the mat; naïve café, 日本語 🙂\n\tdef f(x): return x\n" * 20).encode()


WORDS = b"""{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
"normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
"model": {"type": "WordLevel", "vocab": {"\\u2581a": 0}, "unk_token": "a"}}"""


@pytest.fixture(scope="module")
def bpe() -> BpeTokenizer:
    pytest.importorskip("tokenizers")
    return train_bpe([TEXT], 300)


@given(st.binary())
def test_bytes_are_their_own_tokens(content: bytes) -> None:
    (tokens,) = ByteTokenizer().encode([content])
    assert tokens.tolist() == list(content)
    assert ByteTokenizer().decode(tokens.astype(np.int32)) == content


@given(content=st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8"))))
def test_bpe_round_trip_on_anything(bpe: BpeTokenizer, content: bytes) -> None:
    (tokens,) = bpe.encode([content])
    assert bpe.decode(tokens) == bpe.canonical(content)
    assert tokens.max(initial=0) < bpe.vocab_size


def test_bpe_is_exact_on_utf8_and_replaces_the_rest(bpe: BpeTokenizer) -> None:
    assert bpe.canonical(TEXT) == TEXT
    assert bpe.canonical(b"caf\xe9") == "caf\ufffd".encode()


def test_bpe_compresses_and_has_every_byte_and_a_separator(bpe: BpeTokenizer) -> None:
    (tokens,) = bpe.encode([TEXT])
    assert len(tokens) < len(TEXT) / 2
    assert bpe.vocab_used == 300
    assert bpe.decode(np.array([bpe.separator])) == SEPARATOR
    assert {bpe.decode(np.array([i])) for i in range(300)} >= {bytes([b]) for b in range(256)}


def test_bpe_training_is_deterministic(bpe: BpeTokenizer) -> None:
    assert train_bpe([TEXT], 300).content == bpe.content
    assert train_bpe([TEXT[:200]], 300).content != bpe.content


def test_a_text_too_small_for_its_vocabulary(bpe: BpeTokenizer) -> None:
    small = train_bpe([b"abab abab"], 1000)
    assert 256 < small.vocab_used < small.vocab_size == 1000


def test_stored_tokenizer_is_the_trained_one(tmp_path: Path, bpe: BpeTokenizer) -> None:
    built = build_tokenizer(CorpusConfig(tokenizer="bpe", vocab_size=300), [TEXT])
    store_tokenizer(built, tmp_path)
    loaded = load_tokenizer("bpe", 300, stored_content("bpe", tmp_path))
    (first,), (second,) = built.encode([TEXT]), loaded.encode([TEXT])
    assert first.tolist() == second.tolist() == bpe.encode([TEXT])[0].tolist()
    assert loaded.separator == bpe.separator


def test_a_file_gives_one_vocabulary_to_several_corpora_and_its_hash_is_identity(
    tmp_path: Path, bpe: BpeTokenizer
) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_bytes(bpe.content)
    for name in "ab":
        (tmp_path / name).mkdir()
        for k in range(20):
            (tmp_path / name / f"{k}.txt").write_text(f"the {name} cat sat on mat {k}")
    config = DataConfig(
        corpora=(f"files:{tmp_path / 'a'}", f"files:{tmp_path / 'b'}"),
        weights=(0.5, 0.5),
        valid_fraction=0.3,
        tokenizer="file",
        tokenizer_file=str(file),
        vocab_size=300,
    )
    mixture = Corpora(tmp_path / "cache").mixture(config)
    assert [each.tokenizer.content for each in mixture.corpora] == [bpe.content] * 2
    file.write_bytes(train_bpe([TEXT[:200]], 300).content)
    assert Corpora(tmp_path / "cache").mixture(config).fingerprint != mixture.fingerprint


@pytest.mark.parametrize(
    ("content", "vocab_size", "says"),
    [
        (None, 300, "cannot read it"),
        (b"{}", 300, "no tokenizer of byte-level pairs"),
        (WORDS, 300, "no tokenizer of byte-level pairs"),
        ("bpe", 280, "set data.vocab_size=300 and model.vocab_size=300"),
    ],
)
def test_files_that_are_no_such_tokenizer_are_refused(
    tmp_path: Path, bpe: BpeTokenizer, content: bytes | str | None, vocab_size: int, says: str
) -> None:
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_bytes(bpe.content if isinstance(content, str) else content)
    config = CorpusConfig(tokenizer="file", tokenizer_file=str(file), vocab_size=vocab_size)
    with pytest.raises(UserError) as caught:
        build_tokenizer(config, [])
    assert says in str(caught.value)
    assert f"data.tokenizer_file={file}" in str(caught.value)


def test_a_tokenizer_is_read_from_a_url(
    tmp_path: Path, bpe: BpeTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path))
    url = "memory://tokens/tokenizer.json"
    fsspec.filesystem("memory").pipe("/tokens/tokenizer.json", bpe.content)
    config = CorpusConfig(tokenizer="file", tokenizer_file=url, vocab_size=300)
    assert build_tokenizer(config, []).content == bpe.content


def test_a_tokenizer_that_begins_each_text_with_a_token_does_not_here(bpe: BpeTokenizer) -> None:
    """As Llama 3's does: the text of a document is all that its tokens hold."""
    tokenizers = pytest.importorskip("tokenizers")
    inner = tokenizers.Tokenizer.from_buffer(bpe.content)
    inner.add_special_tokens(["<|begin|>"])
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", inner.token_to_id("<|begin|>"))]
    )
    found = BpeTokenizer(inner.to_str().encode(), 301)
    (tokens,) = found.encode([b"the cat"])
    assert found.decode(tokens) == b"the cat" and len(found._inner.encode("the cat").ids) > len(
        tokens
    )


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UserError, match=r"data\.tokenizer=bpe .*'\.\[text\]'"):
        train_bpe([TEXT], 300)
