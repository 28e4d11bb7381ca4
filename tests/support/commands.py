"""Commands as a user types them, each in a new process."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

from paths import ROOT

from scaling.common.command_line import Parser, commands, parser
from scaling.common.packages import ROOMS

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
TYPED = re.compile(r"^ {4}(?:srun )?windtunnel ((?:\\\n|[^`#\n])+)", re.MULTILINE)


def documented() -> list[tuple[str, list[str]]]:
    """The page and the words of each command that README and docs give, in their order."""
    return [
        (page.name, shlex.split(rest.replace("\\\n", " ")))
        for page in PAGES
        for rest in TYPED.findall(page.read_text(encoding="utf-8"))
    ]


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
