"""The study has a run for every width and rate, and its settings change them."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("WINDTUNNEL_PLUGINS", str(Path(__file__).parents[1]))

from experiments import studies


def test_every_width_has_every_rate() -> None:
    runs = studies.load("my_study", ["widths=16,24,32", "rates=0.01,0.02"]).runs
    assert len({run.run_id for run in runs}) == 6
    assert [run.rung for run in runs] == [0, 0, 1, 1, 2, 2]
    assert {run.config.science.optimizer.learning_rate for run in runs} == {0.01, 0.02}
