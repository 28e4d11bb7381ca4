"""One split's tokens: a flat array, kept once on disk (zarr3), read as windows.

Shards of 16 Mi tokens are single files; a window is read from their pieces of 16 Ki tokens. Without
compression a window costs one or two small reads, and the page cache holds the rest.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

SHARD_TOKENS = 2**24
PIECE_TOKENS = 2**14
CACHE_BYTES = 2**26  # of decoded pieces, for a store that is not held in memory
MEMORY_LIMIT = 256 * 2**20  # bytes; a smaller store is read once and held


class TokenStore(Protocol):
    @property
    def tokens(self) -> int:
        """Number of tokens."""

    @property
    def read_threads(self) -> int:
        """Threads that read ahead: 0 where a read is only a copy."""

    def windows(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int32]:
        """[n] starts -> [n, length] tokens, from ``start`` to ``start + length`` each."""


class MemoryTokens:
    """Tokens held in memory."""

    read_threads = 0

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.tokens = len(array)

    def windows(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int32]:
        view = np.lib.stride_tricks.sliding_window_view(self._array, length)
        return view[starts].astype(np.int32)


class DiskTokens:
    """Tokens on disk, read window by window."""

    read_threads = 2

    def __init__(self, path: Path, tokens: int) -> None:
        self._path = path
        self._array: Any = None
        self.tokens = tokens

    def windows(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int32]:
        if self._array is None:
            self._array = _open(self._path)
        # One read of all windows: tensorstore fetches their pieces together.
        indices = np.asarray(starts)[:, None] + np.arange(length)
        return self._array[indices].read().result().astype(np.int32)


class TokenWriter:
    """Appends tokens to a new array, a shard at a time.

    Raises:
        OSError: the disk fails.
        ValueError: an id is outside the vocabulary; the model's embedding would clip it silently.
    """

    def __init__(self, path: Path, vocab_size: int) -> None:
        self.dtype = token_dtype(vocab_size)
        self.tokens = 0
        self._vocab_size = vocab_size
        self._hash = hashlib.sha256()
        self._waiting: list[NDArray[Any]] = []
        self._waiting_tokens = 0
        self._array = _result(_create(path, self.dtype))

    def append(self, tokens: Sequence[NDArray[Any]]) -> None:
        for part in tokens:
            if part.size and int(part.max()) >= self._vocab_size:
                raise ValueError(f"token {part.max()} is outside vocab_size={self._vocab_size}")
            self._waiting.append(part.astype(self.dtype, copy=False))
            self._waiting_tokens += part.size
        if self._waiting_tokens >= SHARD_TOKENS:
            self._flush(self._waiting_tokens // SHARD_TOKENS * SHARD_TOKENS)

    def close(self) -> str:
        """Write the last tokens; returns the SHA-256 of all as little-endian integers."""
        self._flush(self._waiting_tokens)
        return self._hash.hexdigest()

    def _flush(self, count: int) -> None:
        if not count:
            return
        waiting = np.concatenate(self._waiting)
        block, rest = waiting[:count], waiting[count:]
        end = self.tokens + count
        self._hash.update(block.data)
        self._array = _result(self._array.resize(exclusive_max=[end], expand_only=True))
        _result(self._array[self.tokens : end].write(block))
        self.tokens = end
        self._waiting, self._waiting_tokens = [rest], len(rest)


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The narrowest little-endian unsigned integer that holds every id."""
    width = next(w for w in (1, 2, 4) if vocab_size <= 2 ** (8 * w))
    return np.dtype(f"<u{width}")


def read_all(path: Path) -> NDArray[Any]:
    """The whole array."""
    return _result(_open(path).read())


def stored_bytes(path: Path) -> int:
    """Size of all files of the array: a missing shard would otherwise read as zeros."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _create(path: Path, dtype: np.dtype[Any]) -> Any:
    import tensorstore

    piece = [{"name": "bytes", "configuration": {"endian": "little"}}]
    sharding = {
        "chunk_shape": [PIECE_TOKENS],
        "codecs": piece,
        "index_codecs": [*piece, {"name": "crc32c"}],
    }
    metadata = {
        "shape": [0],
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [SHARD_TOKENS]}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
    }
    return tensorstore.open({**_spec(path), "metadata": metadata}, create=True)


def _open(path: Path) -> Any:
    import tensorstore

    cache = {"cache_pool": {"total_bytes_limit": CACHE_BYTES}}
    return _result(tensorstore.open({**_spec(path), "context": cache}))


def _spec(path: Path) -> dict[str, Any]:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path.absolute())}}


def _result(future: Any) -> Any:
    """The future's value; tensorstore puts errors of the system into a ValueError's text."""
    try:
        return future.result()
    except ValueError as error:
        found = re.search(r"os_error_code='(\d+)'", str(error))
        code = int(found[1]) if found else errno.EIO
        raise OSError(code, os.strerror(code)) from error
