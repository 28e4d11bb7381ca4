"""Commands as a user types them, each in a new process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from scaling.common.command_line import Parser, commands, parser
from scaling.common.packages import ROOMS


def complaints(stderr: str) -> list[str]:
    """The lines of stderr, without the progress that a slow machine brings about."""
    return [line for line in stderr.splitlines() if not line.startswith("  ")]


def command(room: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", room, *arguments], capture_output=True, text=True, timeout=300
    )


def parsers() -> Iterator[tuple[str, Parser]]:
    """All commands with their words: `run`, `tpu launch`."""
    return commands(parser(*ROOMS))
