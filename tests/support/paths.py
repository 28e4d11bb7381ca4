"""Folders that tests read."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
DATA = Path(os.environ.get("WINDTUNNEL_DATA", ROOT.parent / "shared" / "data"))
