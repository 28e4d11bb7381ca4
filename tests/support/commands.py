"""Commands as a user types them, each in a new process."""

from __future__ import annotations

import subprocess
import sys


def command(room: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", room, *arguments], capture_output=True, text=True, timeout=300
    )
