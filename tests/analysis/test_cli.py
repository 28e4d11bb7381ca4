"""`python -m analysis` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from scaling import laws
from scaling.common import plugins

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


@pytest.fixture
def csv(tmp_path: Path) -> str:
    """Anybody's table, with column names of its own."""
    rng = np.random.default_rng(0)
    size, data = 10 ** rng.uniform(7, 9.5, 40), 10 ** rng.uniform(9, 11, 40)
    loss = laws.chinchilla.predict(TRUTH, params=size, tokens=data) * np.exp(
        rng.normal(0, 0.002, 40)
    )
    table = pd.DataFrame({"n": size, "d": data, "c": 6 * size * data, "nats": loss, "run": "a"})
    table.to_csv(tmp_path / "runs.csv", index=False)
    return str(tmp_path / "runs.csv")


def columns(csv: str) -> list[str]:
    return [csv, "--loss", "nats", "--params", "n", "--tokens", "d"]


def test_fit_prints_constants_intervals_held_out_rows_and_card(csv, capsys):
    options = ["--bootstrap", "50", "--holdout", "c>1e20"]
    assert main(["fit", *columns(csv), *options]) == 0
    said = capsys.readouterr().out
    for expected in ("alpha = 0.3", "rows held out: mean |error|", "A  Hypothesis", "D  Fitting"):
        assert expected in said


def test_fit_holds_and_ties_parameters(csv, capsys):
    assert main(["fit", *columns(csv), "--fix", "E=1.8", "--fix", "beta=alpha", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["params"]) == {"A", "B", "alpha"}


def test_laws_lists_all_and_shows_one(capsys):
    assert main(["laws"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name}\n" in f"\n{listed}" for name in laws.LAWS)
    assert main(["laws", "chinchilla"]) == 0
    shown = capsys.readouterr().out
    assert "chinchilla:hoffmann2022" in shown and "MassiveText" in shown


def test_plan_from_constants_and_from_rows_agree_on_the_form(csv, capsys):
    assert main(["plan", "--law", "chinchilla:besiroglu2024", "--flops", "5.76e23"]) == 0
    said = capsys.readouterr().out
    assert "N*  parameters" in said and "7.236e+10" in said and "[" in said.splitlines()[-1]
    assert main(["plan", *columns(csv), "--flops", "1e21", "--bootstrap", "50"]) == 0
    said = capsys.readouterr().out
    assert "fitted on 40 rows, converged" in said
    size = laws.chinchilla.optimal(TRUTH, 1e21)[0]
    shown = float(said.split("N*  parameters")[1].split()[0])
    assert shown == pytest.approx(size, rel=0.1)


def test_constants_without_a_joint_error_say_so(capsys):
    assert main(["plan", "--law", "chinchilla:hoffmann2022", "--flops", "5.76e23"]) == 0
    said = capsys.readouterr().out
    assert "there are no intervals" in said and "[" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "nowhere"], "nowhere: no such file or folder"),
        (["fit", "CSV", "--params", "N", "--tokens", "d", "--loss", "nats"], "no column 'N'"),
        (["fit", "CSV", "--objective", "log_hubber"], "did you mean 'log_huber'"),
        (["fit", "CSV", "--column", "x"], "--column x: write name=value"),
        (["fit", "CSV", "--fix", "gamma=1"], "no parameter 'gamma'"),
        (["fit", "CSV", "--delta", "wide"], "delta='wide': give a positive number or 'mad'"),
        (["plan", "--law", "chinchilla", "--flops", "1e20"], "chinchilla:besiroglu2024"),
        (["plan", "--law", "chinchilla:hofmann", "--flops", "1e20"], "did you mean 'hoffmann2022'"),
        (["plan", "--law", "chinchilla:hoffmann2022", "--flops", "-1"], "finite and positive"),
        (["plan", "--law", "power_law_no_offset:shehper_nanogpt_params", "--flops", "1"], "no all"),
        (["laws", "chinchila"], "did you mean 'chinchilla'"),
        (["figure", "chinchilla_refitt"], "did you mean 'chinchilla_refit'"),
    ],
)  # fmt: skip
def test_mistake_is_one_line_and_status_2(arguments, said, csv, capsys):
    full = [csv if word == "CSV" else word for word in arguments]
    if "CSV" in arguments and "--params" not in arguments:
        full += columns(csv)[1:]
    assert main(full) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert said in printed.err


@pytest.mark.parametrize(
    "command", [name.replace("_", "-") for name in plugins.names("analysis.cli")]
)
def test_help_holds_an_example(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"\n  python -m analysis {command}" in capsys.readouterr().out


def test_help_is_quick():
    """The list of commands imports nothing that takes long."""
    script = "import sys; from analysis.__main__ import parser; parser(); print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    assert "analysis.cli.fit" in loaded
    assert not {"numpy", "pandas", "scipy", "matplotlib", "jax"} & set(loaded)


def test_output_that_nobody_reads_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "analysis", "laws"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
