"""Compressed files, told by their first bytes; a new codec is a row of ``CODECS``."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

from scaling.common.plugins import import_extra
from scaling.common.remote import RemoteFile

HEAD_BYTES = 8192  # of which a file is told: binary, or compressed
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError)  # of reading, by any codec


class Codec(NamedTuple):
    first: re.Pattern[bytes]
    open: Callable[[BinaryIO], Any]


def _open_zstd(file: BinaryIO) -> Any:
    arrow = import_extra("pyarrow", "text", f"{file.name}: reading zstd")
    return io.BufferedReader(arrow.CompressedInputStream(file, "zstd"))


CODECS: Mapping[str, Codec] = {
    ".gz": Codec(re.compile(rb"\x1f\x8b\x08"), lambda file: gzip.GzipFile(fileobj=file)),
    ".zst": Codec(re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _open_zstd),
    ".bz2": Codec(re.compile(rb"BZh[1-9]1AY&SY"), bz2.BZ2File),
    ".xz": Codec(re.compile(rb"\xfd7zXZ\0"), lzma.LZMAFile),
}


def format_suffix(path: Path | RemoteFile) -> str:
    """The suffix of a file without that of its codec: ".jsonl" of a.JSONL.gz."""
    inner = Path(path.stem) if path.suffix.lower() in CODECS else path
    return inner.suffix.lower()


@contextmanager
def opened(path: Path | RemoteFile) -> Iterator[tuple[IO[bytes], str]]:
    """The content of a file, decompressed, and the name of its codec, or "".

    Raises:
        OSError, EOFError, zlib.error, lzma.LZMAError: it cannot be read, here or later.
    """
    with path.open("rb") as file:
        first = file.read(HEAD_BYTES)
        file.seek(0)
        found = next((name for name, codec in CODECS.items() if codec.first.match(first)), "")
        if not found:
            yield file, found
            return
        with CODECS[found].open(file) as content:
            yield content, found
