"""The figure's numbers agree with the published ones."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("WINDTUNNEL_PLUGINS", str(Path(__file__).parents[1]))

from analysis.figures import reproduce


def test_its_numbers_agree() -> None:
    found = reproduce("my_figure")
    assert {row.verdict for row in found.rows} == {"agrees"}
