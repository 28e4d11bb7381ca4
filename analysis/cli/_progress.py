"""Progress: says what is being done once a command has taken longer than anyone likes to wait."""

from __future__ import annotations

import sys
import time

PATIENCE = 2.0  # seconds before progress is worth a line


class Progress:
    """Prints to stderr, so that output pastes well; quiet for the first two seconds."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def __call__(self, text: str) -> None:
        if time.monotonic() - self.start > PATIENCE:
            print(f"  {text}", file=sys.stderr, flush=True)
