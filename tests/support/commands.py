"""Commands as a user types them, each in a new process."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

from scaling.common.command_line import Parser

ROOMS = ("analysis", "experiments", "tpu")


def complaints(stderr: str) -> list[str]:
    """The lines of stderr, without the progress that a slow machine brings about."""
    return [line for line in stderr.splitlines() if not line.startswith("  ")]


def command(room: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", room, *arguments], capture_output=True, text=True, timeout=300
    )


def parsers() -> Iterator[tuple[str, str, Parser]]:
    """Room, name and parser of every command."""
    for room in ROOMS:
        top = import_module(f"{room}.__main__").parser()
        (table,) = (each for each in top._actions if isinstance(each, argparse._SubParsersAction))
        for name, parser in table.choices.items():
            yield room, name, parser
