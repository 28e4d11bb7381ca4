"""A seal on a folder: the CRC-32 of every file in it, so that damage is seen before it is read."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from experiments.record import write_json

SEAL = "seal.json"
BLOCK = 1 << 20


def seal(folder: Path) -> None:
    """Write down what the files of `folder` hold now."""
    write_json(folder / SEAL, {"crc32": _sums(folder)})


def is_sealed(folder: Path) -> bool:
    return (folder / SEAL).exists()


def damage(folder: Path) -> str | None:
    """What no longer agrees with the seal, in words; None where all does, or there is no seal."""
    try:
        sealed = json.loads((folder / SEAL).read_bytes())["crc32"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError):
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
