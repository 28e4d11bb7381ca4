"""The list of laws, and one law whole."""

from __future__ import annotations

import json

from analysis.__main__ import main
from scaling import laws


def test_laws_lists_all_and_shows_one(capsys):
    assert main(["laws"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name}\n" in f"\n{listed}" for name in laws.LAWS)
    assert main(["laws", "chinchilla"]) == 0
    shown = capsys.readouterr().out
    assert "chinchilla:hoffmann2022" in shown and "MassiveText" in shown


def test_numbers_without_the_rest_of_their_constants_are_shown_as_such(capsys):
    assert main(["laws", "params_allocation"]) == 0
    shown = capsys.readouterr().out
    assert "\n  params_allocation:deepseek2024\n" in shown
    assert "\n  hoffmann2022_approach1 (quoted without" in shown and "a 0.5, b 0.5" in shown
    assert main(["laws", "minicpm", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["quoted"]
    assert entry["values"]["tokens_per_param"] == 192


def test_an_unknown_law_names_the_nearest(capsys):
    assert main(["laws", "chinchila"]) == 2
    assert "did you mean 'chinchilla'" in capsys.readouterr().err
