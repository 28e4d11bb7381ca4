"""Tokens on disk and in memory are the same tokens."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from experiments.data import store
from experiments.data.store import DiskTokens, MemoryTokens, TokenWriter, read_all, token_dtype


@pytest.mark.parametrize(
    ("vocab_size", "dtype"),
    [(256, "uint8"), (257, "uint16"), (65536, "uint16"), (65537, "uint32")],
)
def test_the_narrowest_dtype(vocab_size: int, dtype: str) -> None:
    assert token_dtype(vocab_size) == np.dtype(dtype)


@pytest.mark.parametrize("vocab_size", [256, 5000, 70_000])
def test_written_in_parts_read_whole_and_by_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vocab_size: int
) -> None:
    monkeypatch.setattr(store, "SHARD_TOKENS", 1024)
    monkeypatch.setattr(store, "PIECE_TOKENS", 64)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, vocab_size, 5000).astype(np.uint32)
    writer = TokenWriter(tmp_path / "a", vocab_size)
    for part in np.array_split(tokens, [3, 700, 3900]):  # below, within and above a shard
        writer.append([part])
    digest = writer.close()
    assert writer.tokens == 5000
    assert digest == hashlib.sha256(tokens.astype(token_dtype(vocab_size)).data).hexdigest()
    assert len(list((tmp_path / "a" / "c").iterdir())) == 5

    whole = read_all(tmp_path / "a")
    assert whole.dtype == token_dtype(vocab_size)
    np.testing.assert_array_equal(whole, tokens)
    starts = np.array([0, 4990, 1000, 17, 17])
    expected = np.stack([tokens[s : s + 10] for s in starts])
    for reader in (MemoryTokens(whole), DiskTokens(tmp_path / "a", 5000)):
        windows = reader.windows(starts, 10)
        assert windows.dtype == np.int32
        np.testing.assert_array_equal(windows, expected)


def test_disk_tokens_travel_to_a_worker(tmp_path: Path) -> None:
    writer = TokenWriter(tmp_path / "a", 256)
    writer.append([np.arange(100)])
    writer.close()
    tokens = DiskTokens(tmp_path / "a", 100)
    first = tokens.windows(np.array([5]), 4)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(tokens)).windows(np.array([5]), 4), first
    )


def test_a_token_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    writer = TokenWriter(tmp_path / "a", 300)
    writer.append([np.array([299])])
    with pytest.raises(ValueError, match="token 300 is outside vocab_size=300"):
        writer.append([np.array([300])])


def test_a_missing_array_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        read_all(tmp_path / "absent")
