"""Laws ranked on rows of a known law, and on the published Chinchilla points."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from paths import needs_tables

from analysis.__main__ import main
from scaling import laws

TRUTH = {"E": 1.8, "A": 3000.0, "B": 150.0, "alpha": 0.45, "beta": 0.25}
WRONG = "chinchilla,beta=alpha"


@pytest.fixture
def csv(tmp_path: Path) -> str:
    """Forty runs of the Chinchilla law with noise of 0.2 %."""
    rng = np.random.default_rng(0)
    size, data = 10 ** rng.uniform(7, 9.5, 40), 10 ** rng.uniform(9, 11, 40)
    loss = laws.chinchilla.predict(TRUTH, params=size, tokens=data)
    loss = loss * np.exp(rng.normal(0, 0.002, 40))
    table = pd.DataFrame(
        {"params_total": size, "tokens": data, "flops_6nd": 6 * size * data, "loss": loss}
    )
    table.to_csv(tmp_path / "runs.csv", index=False)
    return str(tmp_path / "runs.csv")


def ranked(said: str) -> list[list[str]]:
    """law, rank, parameters, held out, inside, score, rolled, AICc above the best: a list for each
    law."""
    return [
        re.sub(r",? ([^ ]+) = ", r",\1=", line).split()
        for line in said.splitlines()
        if re.search(r" (converged|misfit)$", line.rstrip())
    ]


def test_the_true_law_wins_by_held_out_error(csv: str, tmp_path: Path, capsys):
    asked = ["--law", WRONG, "--law", "chinchilla", "--holdout", "flops_6nd>2e19"]
    assert main(["compare", csv, *asked, "--plot", str(tmp_path / "residuals")]) == 0
    first, second = ranked(capsys.readouterr().out)
    assert (first[0], first[1], second[0]) == ("chinchilla", "1", WRONG)
    assert float(first[3]) < 0.5 < 3 * float(first[3]) < float(second[3])
    assert first[4:6] == ["-", "-"]  # without resamples
    assert (tmp_path / "residuals.png").exists()
    at = ["--bootstrap", "60", "--at", "params=1e10,tokens=2e11"]
    assert main(["compare", csv, *asked, *at]) == 0
    said = capsys.readouterr().out
    assert re.search(r"predicted by chinchilla 1, chinchilla, beta = alpha \S+e-", said)
    assert "intervals of a new run: constants, run noise, law" in said
    first, second = ranked(said)
    assert first[0] == "chinchilla" and float(first[4]) > 90
    assert 0 < float(first[5]) < float(second[5])


def test_budgets_are_rolled_over(csv: str, capsys):
    asked = ["--law", WRONG, "--law", "chinchilla", "--over", "flops_6nd", "--below", "1e19"]
    assert main(["compare", csv, *asked]) == 0
    first, second = ranked(capsys.readouterr().out)
    assert first[0] == "chinchilla" and 2 * float(first[6]) < float(second[6])


@needs_tables("chinchilla_epoch")
def test_published_points_do_not_tell_the_exponents_apart(capsys):
    asked = ["--law", "chinchilla", "--law", "chinchilla,beta=alpha", "--drop-highest", "5"]
    assert main(["compare", "chinchilla_epoch", *asked]) == 0
    first, second = ranked(capsys.readouterr().out)
    assert first[0] == "chinchilla,beta=alpha" and float(second[7]) == pytest.approx(0.44, abs=0.01)


def test_one_law_cannot_be_compared(csv: str, capsys):
    assert main(["compare", csv, "--law", "chinchilla"]) == 2
    assert "compare needs two fits" in capsys.readouterr().err
    assert main(["compare", csv, "--law", "chinchilla", "--law", "chinchilla,beta"]) == 2
    assert "--law beta: write name=value" in capsys.readouterr().err
    assert main(["compare", csv, "--law", "chinchilla", "--law", "chinchilla"]) == 2
    assert "--law chinchilla is given twice" in capsys.readouterr().err


def test_families_have_their_gains_in_flops_tokens_and_seconds(tmp_path: Path, capsys):
    """The old one needs 1.6 times the tokens at any size, and twice the time for a FLOP."""
    rng, parts = np.random.default_rng(0), []
    for label, fewer, slow in (("old", 1.6, 2.0), ("new", 1.0, 1.0)):
        size = np.tile(10 ** np.linspace(7, 9.5, 6), 5)
        data = np.repeat(10 ** np.linspace(9, 11, 5), 6)
        loss = laws.chinchilla.predict(TRUTH, params=size, tokens=data / fewer)
        spent = 6 * size * data
        parts.append(
            pd.DataFrame(
                {
                    "label": label, "params_total": size, "tokens": data, "flops_6nd": spent,
                    "flops_model": 1.1 * spent, "wall_seconds": 1e-12 * slow * spent,
                    "loss": loss * np.exp(rng.normal(0, 1e-3, 30)),
                }
            )
        )  # fmt: skip
    pd.concat(parts).to_csv(tmp_path / "runs.csv", index=False)
    assert main(["compare", str(tmp_path / "runs.csv"), "--bootstrap", "50"]) == 0
    said = capsys.readouterr().out
    row = next(line for line in said.splitlines() if line.startswith("new"))
    numbers = [float(each.strip("[],")) for each in row.split()[2:]]
    gains = (numbers[0:3], numbers[3:6], numbers[6:9])
    for (value, low, high), truth in zip(gains, (1.6, 1.6, 3.2), strict=True):
        assert low <= value <= high
        assert value == pytest.approx(truth, rel=0.02) and low - 0.01 < truth < high + 0.01
    assert "new  " in said and "factors by which old needs more" in said
    assert main(["compare", str(tmp_path / "runs.csv"), "--against", "nwe"]) == 2
    assert "did you mean 'new'" in capsys.readouterr().err


def test_rows_of_one_label_are_no_families(csv: str, capsys):
    assert main(["compare", csv]) == 2
    assert "no two labels to compare; give --law" in capsys.readouterr().err


def test_arms_are_compared_at_equal_bills_of_tuning(tmp_path: Path, capsys):
    """The new arm is better at its best rate, worse at most others, and diverges at one."""
    losses = {"old": [3.3, 3.2, 3.1, 3.15], "new": [4.0, 3.9, 3.0, float("nan")]}
    table = pd.DataFrame(
        {"label": label, "params_total": 1e6, "tokens": 2e7, "lr": 10.0**-at, "loss": loss}
        for label, every in losses.items()
        for at, loss in enumerate(every)
    )
    table["status"] = np.where(table["loss"].isna(), "diverged", "completed")
    table.to_csv(tmp_path / "runs.csv", index=False)
    ask = ["compare", str(tmp_path / "runs.csv"), "--equal-tuning"]
    assert main([*ask, "--plot", str(tmp_path / "tuned")]) == 0
    said = capsys.readouterr().out
    first, _, last = (line.split() for line in said.splitlines() if line.endswith("%"))
    assert first[-2:] == ["old", "75%"] and last[-2:] == ["new", "100%"]
    assert last[1:5] == ["3.1", "[3.1,", "3.1]", "3"]
    assert "new: 4 trials of 1.2e+14 flops_6nd, 1 of them diverged" in said
    assert "1 of 1 pairs change order (old and new)" in said
    assert (tmp_path / "tuned.png").exists()
    table.assign(tokens=range(8)).to_csv(tmp_path / "runs.csv", index=False)
    assert main(ask) == 2
    assert "old has 4 values of tokens; choose one search: --where" in capsys.readouterr().err
    for idle in (["--bootstrap", "9"], ["--objective", "raw_huber"], ["--at", "params=1,tokens=2"]):
        assert main([*ask, *idle]) == 2
        assert f"fits no law: leave out {idle[0]}" in capsys.readouterr().err
