"""Folders that tests read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
DATA = Path(os.environ.get("WINDTUNNEL_DATA", ROOT.parent / "shared" / "data"))


def needs_tables(*paths: str) -> pytest.MarkDecorator:
    """Skip a test where one of these published tables, or of their files, is absent."""
    absent = ", ".join(path for path in paths if not (DATA / path).exists())
    return pytest.mark.skipif(bool(absent), reason=f"$WINDTUNNEL_DATA has no {absent}")
