"""Checksums inside the record: a file of JSON and a row of JSON Lines end with their CRC-32.

The last field ``"crc32"`` of a file is the sum of the text without it. In JSON Lines it runs: the
sum of all rows up to this one, each without it. So a changed, lost or doubled row shows in the next
sum. Text without a sum, of an earlier version, is taken as it is.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """Text around the sum in a JSON object."""

    mark: bytes
    end: bytes  # of the object

    def add(self, text: bytes, before: int = 0) -> tuple[bytes, int]:
        """The text with its sum, which continues the sum `before`; the sum."""
        total = zlib.crc32(text, before)
        return text.removesuffix(self.end) + self.mark + b"%d" % total + self.end, total

    def take(self, text: bytes, before: int = 0) -> tuple[bytes, int, bool | None]:
        """The text without its sum; the sum that it should have; if it has it, or None."""
        body, _, rest = text.rpartition(self.mark)
        digits = rest.removesuffix(self.end)
        if not body or not digits.isdigit():
            return text, zlib.crc32(text, before), None
        plain = body + self.end
        total = zlib.crc32(plain, before)
        return plain, total, int(digits) == total


ROW = Form(b', "crc32": ', b"}\n")
FILE = Form(b',\n "crc32": ', b"\n}\n")
