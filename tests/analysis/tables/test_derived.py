"""Columns that follow from others, and columns that their names tell, through every command."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.__main__ import main
from analysis.tables.derived import completed
from scaling import laws
from scaling.common.errors import UserError

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


def runs() -> pd.DataFrame:
    """24 runs without noise, under the names of nobody in particular."""
    n, d = np.repeat(np.geomspace(5e7, 1e10, 6), 4), np.tile(np.geomspace(1e9, 3e11, 4), 6)
    loss = laws.chinchilla.predict(TRUTH, params=n, tokens=d)
    return pd.DataFrame({"n_params": n, "Tokens": d, "compute": 6 * n * d, "eval/loss": loss})


GIVEN = {
    "sizes and tokens": (["n_params", "Tokens"], {"n_params": "n_params", "Tokens": "Tokens"}),
    "sizes and compute": (["n_params", "compute"], {"n_params": "n_params", "Tokens": "tokens"}),
    "tokens and compute": (["Tokens", "compute"], {"n_params": "params", "Tokens": "Tokens"}),
}


@pytest.mark.parametrize("name", GIVEN)
def test_two_of_size_tokens_and_compute_give_the_third(name: str):
    columns, read = GIVEN[name]
    found = fit(laws.chinchilla, runs()[[*columns, "eval/loss"]])
    assert found.params == pytest.approx(TRUTH, rel=1e-4)
    assert found.recipe.columns == {"params": read["n_params"], "tokens": read["Tokens"]}
    assert found.recipe.loss == "eval/loss"
    derived = [note for note in found.warnings if "derived" in note]
    assert len(derived) == (name != "sizes and tokens")
    assert "loss is column eval/loss, by its name" in found.warnings


def test_the_compute_is_six_times_size_and_tokens():
    table = runs()
    found = completed(table.drop(columns="compute"))["flops_6nd"]
    assert found.tolist() == pytest.approx(table["compute"].tolist())


def test_a_law_that_counts_otherwise_takes_no_other_count():
    with pytest.raises(UserError, match="counts params as params_non"):
        fit("kaplan", runs())


@pytest.mark.parametrize(
    "command",
    [
        ["fit", "--holdout", "flops_6nd>1e21"],
        ["plan", "--flops", "1e22"],
        ["compare", "--law", "chinchilla", "--law", "chinchilla,beta=alpha"],
    ],
)
def test_every_command_completes_the_table(command: list[str], tmp_path: Path, capsys):
    file = tmp_path / "runs"  # compressed, UTF-16, semicolons and decimal commas
    text = runs().drop(columns="compute").to_csv(index=False, sep=";", decimal=",")
    file.write_bytes(gzip.compress(text.encode("utf-16")))
    name, *rest = command
    assert main([name, str(file), *rest, "--where", "flops_6nd<1e22", "--json"]) == 0
    notes = " ".join(said(json.loads(capsys.readouterr().out)))
    assert "flops_6nd = 6 x n_params x Tokens, derived" in notes
    assert "params is column n_params, by its name" in notes


def said(answer: dict[str, Any]) -> list[str]:
    return [*answer["notes"], *answer.get("warnings", ())]


def test_what_is_there_is_left_alone():
    table = runs().rename(columns={"compute": "flops_6nd"})
    assert completed(table) is table
    twice = pd.concat([table, table], axis=1)
    assert completed(twice) is twice
