"""The notebooks run from top to bottom, say what they promise, and are stored without outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from paths import ROOT, needs_tables

NOTEBOOKS = ROOT / "analysis" / "notebooks"


def run(name: str) -> tuple[str, list[bytes]]:
    """Execute one notebook in a fresh process: what it printed, and its pictures."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    said, pictures = [], []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output["text"]
            said.append(output.get("text", "") or output["data"].get("text/plain", ""))
            if "image/png" in output.get("data", {}):
                pictures.append(output["data"]["image/png"])
    return "\n".join(said), pictures


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is another process: warnings of numbers are errors there too."""
    monkeypatch.setenv("PYTHONWARNINGS", "error::RuntimeWarning,error::UserWarning")


def test_fit_your_table():
    said, pictures = run("fit_your_table")
    assert said.startswith("converged") and "D  Fitting" in said
    truths = re.findall(r"(\w+) = .* true (\S+)", said)
    assert len(truths) == 5
    for name, true in truths:
        low, high = map(float, re.search(rf"{name} = .*\[(.*), (.*)\]", said).groups())
        assert low <= float(true) <= high, name
    assert len(pictures) == 1


@needs_tables("chinchilla_epoch")
def test_chinchilla_refit():
    said, pictures = run("chinchilla_refit")
    assert "objective 0.001018274, converged" in said
    assert re.search(r"refit 17\.9 \[.*original constants 58\.9", said)
    assert len(pictures) == 1


def test_choose_a_law():
    said, pictures = run("choose_a_law")
    assert re.search(r"0\s+power_law\s.*\n1\s+power_law_no_offset\s", said)
    assert len(pictures) == 1


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_stored_without_outputs(path: Path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
