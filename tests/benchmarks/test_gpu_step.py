"""The script for a GPU runs here at its smallest size."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jax.errors import JaxRuntimeError
from paths import ROOT

TABLES = {"mfu": "tiny", "packing": "tiny", "attention": "64"}  # and the first word of their row


@pytest.mark.parametrize(
    "name",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in list(TABLES)[:2]), "attention"],
)
def test_the_smallest_size_of_each_table_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks")])
    import gpu_step

    gpu_step.main(["--dry-run", "--tables", name, "--out", str(tmp_path / "table.txt")])
    (table,) = (tmp_path / "table.txt").read_text(encoding="utf-8").split("\n\n")[1:]
    title, *_, row = table.splitlines()
    first, number = row.replace(",", "").split()[:2]
    assert (title, first) == (name, TABLES[name])
    assert float(number) > 0


def test_a_row_that_does_not_fit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks")])
    import gpu_step

    def row() -> str:
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")

    assert gpu_step.fitting("1B", row).split() == ["1B", "no", "memory"]
