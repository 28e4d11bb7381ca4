"""The list of published figures; drawing them is tested in tests/figures."""

from __future__ import annotations

from analysis import figures
from analysis.__main__ import main


def test_the_list_names_every_figure(capsys):
    assert main(["figure"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert tuple(listed) == figures.names() and "chinchilla_refit" in listed


def test_an_unknown_figure_names_the_nearest(capsys):
    assert main(["figure", "chinchilla_refitt"]) == 2
    assert "did you mean 'chinchilla_refit'" in capsys.readouterr().err
