"""The list of published figures; drawing them is tested in tests/figures."""

from __future__ import annotations

import csv
from pathlib import Path

from paths import needs_tables

from analysis import figures
from analysis.__main__ import main


def test_the_list_names_every_figure(capsys):
    assert main(["figure"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert tuple(listed) == figures.names() and "chinchilla_refit" in listed


@needs_tables("evo_isoflop")
def test_a_figure_has_its_numbers_its_caption_and_a_pdf(tmp_path: Path, capsys):
    drawn = ["figure", "evo_isoflop", "--out", str(tmp_path), "--pdf", "--width", "page"]
    assert main(drawn) == 0
    assert "agrees" in capsys.readouterr().out
    with (tmp_path / "evo_isoflop.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and float(rows[0]["published"]) == 0.5518831999583678
    assert (tmp_path / "evo_isoflop.txt").read_text().startswith("Compute-optimal DNA models\n")
    assert (tmp_path / "evo_isoflop.pdf").read_bytes().startswith(b"%PDF")
    assert 'width="504pt"' in (tmp_path / "evo_isoflop.svg").read_text()  # 7 inches


def test_an_unknown_figure_names_the_nearest(capsys):
    assert main(["figure", "chinchilla_refitt"]) == 2
    assert "did you mean 'chinchilla_refit'" in capsys.readouterr().err
