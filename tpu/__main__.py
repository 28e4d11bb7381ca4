"""``python -m tpu``: the commands of this room alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from scaling.common import console


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    return console.main(arguments, "tpu")


if __name__ == "__main__":
    sys.exit(main())
