"""A reading is one file, found by name, with its figure."""

from __future__ import annotations

from pathlib import Path

import pytest
import records
from synthetic import Plan, write_study

from analysis import readings
from analysis.inference import forecast
from analysis.report.report import write_page
from analysis.tables.study import load_study
from experiments.record import StudyPlan
from scaling.common.plugins import VARIABLE

LARGEST = '''
"""Names the largest run."""

from dataclasses import dataclass, field

from analysis.plotting.style import canvas
from analysis.readings._finding import Picture


@dataclass(frozen=True)
class Largest:
    params: float
    tables: tuple = ()
    notes: tuple = ("one run says little",)
    predictions: dict = field(default_factory=dict)

    def __str__(self):
        return f"the largest model has {self.params:g} parameters"

    def pictures(self):
        return (Picture("nothing", lambda: canvas()[0], "Nothing.", "An empty figure.", "Empty."),)

    def save(self, folder):
        return ()


def read(study):
    return Largest(study.fit_runs[study.params].max())
'''


def test_a_file_in_the_plugin_folder_is_a_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "plugins" / "analysis" / "readings" / "largest.py"
    file.parent.mkdir(parents=True)
    file.write_text(LARGEST)
    monkeypatch.setattr(forecast, "BOOTSTRAP", 20)
    monkeypatch.setattr(readings, "__path__", list(readings.__path__))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "plugins"))
    folder = write_study(tmp_path / "study", Plan())
    records.change(folder, StudyPlan, reading="largest", law=None)
    evidence = write_page(load_study(folder))
    assert evidence.sentence == "the largest model has 259000 parameters"
    assert "one run says little" in evidence.missing
    assert (folder / "figures" / "nothing.svg").exists()
    assert "An empty figure." in (folder / "report.html").read_text()
