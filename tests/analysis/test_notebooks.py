"""The notebooks run from top to bottom, say what they promise, and have stored outputs."""

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
    assert "objective 0.001018274, misfit" in said
    assert re.search(r"refit 17\.9 \[.*original constants 58\.9", said)
    assert len(pictures) == 1


def test_choose_a_law():
    said, pictures = run("choose_a_law")
    assert re.search(r"0\s+power_law\s.*\n1\s+power_law_no_offset\s", said)
    assert len(pictures) == 1


def test_plan_a_tpu_run():
    said, _ = run("plan_a_tpu_run")
    assert "1e+21 FLOPs: 2.78B parameters, 60B tokens, D/N 22" in said
    assert len(re.findall(r"v5e|v5p|v6e", said)) == 3


@needs_tables("critical_batch_size")
def test_reproduce_a_figure():
    said, pictures = run("reproduce_a_figure")
    assert "c = 93.20, p = 0.4683" in said
    assert "DIFFERS" not in said and said.count("agrees") > 10
    assert len(pictures) == 1


@needs_tables("xlstm_isoflop")
def test_compare_two_arms():
    said, pictures = run("compare_two_arms")
    low, high = map(float, re.search(r"at 1e\+19 .*\[(.*), (.*)\]", said).groups())
    assert 1 < low < 1.18 < high < 1.4
    assert len(pictures) == 1


@needs_tables("steplaw")
def test_hyperparameter_law():
    said, _ = run("hyperparameter_law")
    assert "Step Law: mean regret 0.096 %" in said
    assert "steplaw2025" in said


@needs_tables("regmix", "data_mixing_laws")
def test_mix_data():
    said, pictures = run("mix_data")
    assert "chosen by 1M: 2.817 nats/token at 1B, 0.000 above the best" in said
    weights = [float(each) for each in re.findall(r"^\w+ +(0\.\d\d) \[", said, re.MULTILINE)]
    assert len(weights) == 5 and sum(weights) == pytest.approx(1, abs=0.02)
    assert len(pictures) == 1


@needs_tables("olmo_ladder")
def test_predict_abilities():
    said, pictures = run("predict_abilities")
    assert "3 of 4 inside their intervals" in said
    assert len(pictures) == 1


def test_run_a_sweep():
    said, pictures = run("run_a_sweep")
    assert re.search(r"best of these: 0\.0\d+, at 2\.\d+ nats/token", said)
    assert len(pictures) == 1


def test_learning_rate_transfer():
    said, pictures = run("learning_rate_transfer")
    assert "undetermined for sp and mup" in said  # one seed has no interval
    assert len(pictures) == 1


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_stored_with_outputs(path: Path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds and "error" not in kinds
