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
from analysis.tables.words import in_unit
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


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("params (M)", ("params", 1e6)),
        ("Training tokens [billions]", ("Training tokens", 1e9)),
        ("n_params_in_B", ("n_params", 1e9)),
        ("tokens, B", ("tokens", 1e9)),
        ("M params", ("params", 1e6)),
        ("flops (×10^18)", ("flops", 1e18)),
        ("compute_pf_days", ("compute", 8.64e19)),
        *((name, None) for name in ("params (total)", "tokens (2024)", "params (inf)", "loss (M)")),
        *((name, None) for name in ("flops_6nd", "tokens_seen", "n_m", "m_params", "lr (1e-3)")),
    ],
)
def test_a_unit_in_a_name_is_told_from_a_word(head: str, found: tuple[str, float] | None):
    assert in_unit(head) == found


@pytest.mark.parametrize("asked", [{}, {"params": "model size (M)", "tokens": "tokens_B"}])
def test_a_size_in_millions_is_fitted_in_full(asked: dict[str, str]):
    """By the name or asked for; conditions go by the cells as they are written."""
    table = runs().drop(columns="compute")
    table["model size (M)"] = table.pop("n_params") / 1e6
    table["tokens_B"] = table.pop("Tokens") / 1e9
    found = fit("chinchilla", completed(table).query("tokens_B > 2"), **asked)
    assert found.params == pytest.approx(TRUTH, rel=1e-4) and len(found.points) == 18
    assert {
        "model size = 1e+06 x model size (M), derived",
        "tokens = 1e+09 x tokens_B, derived",
    } <= {*found.warnings}


def test_a_column_in_full_that_is_another_is_refused():
    table = runs().assign(**{"n_params (M)": 7.0})
    with pytest.raises(UserError, match="is not column 'n_params': rename one"):
        fit("chinchilla", table, params="n_params (M)")


def test_compute_in_a_unit_gives_tokens_and_tells_both_steps():
    table = runs().drop(columns="Tokens")
    table["compute (PF-days)"] = table.pop("compute") / 8.64e19
    found = fit("chinchilla", table)
    assert found.params == pytest.approx(TRUTH, rel=1e-4)
    assert [note for note in found.warnings if "derived" in note] == [
        "compute = 8.64e+19 x compute (PF-days), derived",
        "tokens = compute / (6 x n_params), derived",
    ]
