"""The list of laws, and one law whole."""

from __future__ import annotations

from analysis.__main__ import main
from scaling import laws


def test_laws_lists_all_and_shows_one(capsys):
    assert main(["laws"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name}\n" in f"\n{listed}" for name in laws.LAWS)
    assert main(["laws", "chinchilla"]) == 0
    shown = capsys.readouterr().out
    assert "chinchilla:hoffmann2022" in shown and "MassiveText" in shown


def test_an_unknown_law_names_the_nearest(capsys):
    assert main(["laws", "chinchila"]) == 2
    assert "did you mean 'chinchilla'" in capsys.readouterr().err
