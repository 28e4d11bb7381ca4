"""Checksums of a folder: the CRC-32 of every file, to find damage before use."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec

from scaling.common.errors import UserError
from scaling.common.files import read_json, write_json

SEAL = "seal.json"
BLOCK = 1 << 20


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """seal.json: the checksum of each file, by its path in the folder."""

    crc32: dict[str, int]


def named_by_step(folder: Path) -> list[Path]:
    """The entries of a folder whose names are steps, of at most 15 digits."""
    return [each for each in folder.glob("*") if each.name.isdecimal() and len(each.name) < 16]


def seal(folder: Path) -> None:
    """Write the checksums of the files in `folder`."""
    write_json(folder / SEAL, Seal(_sums(folder)))


def is_sealed(folder: Path) -> bool:
    return (folder / SEAL).exists()


def damage(folder: Path) -> str | None:
    """The first difference from the checksums, in words; None without any.

    Without checksums nothing is known to be whole: the save was cut short before them.
    """
    if not is_sealed(folder):
        return f"{SEAL} is missing, its save was cut short"
    try:
        sealed = read_json(folder / SEAL, Seal).crc32
    except UserError:
        return f"{SEAL} cannot be read"
    found = _sums(folder)
    for name in sorted(sealed.keys() | found.keys()):
        if sealed.get(name) != found.get(name):
            return f"{name} {'has changed' if name in found else 'is missing'}"
    return None


def _sums(folder: Path) -> dict[str, int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)
    return {str(path.relative_to(folder)): _crc(path) for path in files}


def _crc(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            total = zlib.crc32(block, total)
    return total
