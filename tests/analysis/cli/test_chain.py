"""Downstream error from predicted loss: the published targets of Gadre et al. 2024."""

from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.__main__ import main

GADRE = [
    "chain", "gadre_overtraining", "--law", "overtraining", "--objective", "raw_squared",
    "--where", "in_loss_fit==True and dataset==rpj", "--then-loss", "err_avg17",
    "--then-where", "in_error_fit==True and dataset==rpj",
]  # fmt: skip


@needs_tables("gadre_overtraining/tidy.csv")
def test_the_published_errors_of_two_targets(capsys):
    targets = "is_extrapolation_target==True and dataset==rpj"
    assert main([*GADRE, "--predict", targets]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "rpj-open" in line]
    off = {name: float(error) for name, *_, error in rows}
    assert off == {
        "rpj-open_lm_1b-32.0": pytest.approx(3.6365, abs=1e-3),
        "rpj-open_lm_7b-1.0": pytest.approx(0.0464, abs=1e-4),
    }


@needs_tables("gadre_overtraining/tidy.csv")
def test_a_run_that_is_not_in_the_table(capsys):
    assert main([*GADRE, "--at", "params=1.4B,tokens=9e11"]) == 0
    said = capsys.readouterr().out
    assert "params=1.4B,tokens=9e11" in said and "no intervals without bootstrap=1000" in said
    assert main([*GADRE, "--at", "params=1.4e9"]) == 2
    assert "tokens" in capsys.readouterr().err
    assert main(GADRE) == 2
    assert "give either --at NAME=X,... or --predict" in capsys.readouterr().err
