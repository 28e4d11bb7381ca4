"""Compute-optimal plans from constants and from rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from anybody import COLUMNS, TRUTH, write_table

from analysis.__main__ import main
from scaling import laws


@pytest.fixture
def csv(tmp_path: Path) -> str:
    return write_table(tmp_path)


def test_plan_from_constants_and_from_rows_agree_on_the_form(csv, capsys):
    assert main(["plan", "--law", "chinchilla:besiroglu2024", "--flops", "5.76e23"]) == 0
    said = capsys.readouterr().out
    assert "N*, parameters" in said and "7.236e+10" in said and "[" in said.splitlines()[-1]
    assert main(["plan", csv, *COLUMNS, "--flops", "1e21", "--bootstrap", "50"]) == 0
    said = capsys.readouterr().out
    assert "fitted on 40 rows, converged" in said
    size = laws.chinchilla.optimal(TRUTH, 1e21)[0]
    shown = float(said.splitlines()[-1].split()[1])
    assert shown == pytest.approx(size, rel=0.1)


def test_constants_without_a_joint_error_say_so(capsys):
    assert main(["plan", "--law", "chinchilla:hoffmann2022", "--flops", "5.76e23"]) == 0
    said = capsys.readouterr().out
    assert "there are no intervals" in said and "[" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--law", "chinchilla", "--flops", "1e20"], "chinchilla:besiroglu2024"),
        (["--law", "chinchilla:hofmann", "--flops", "1e20"], "did you mean 'hoffmann2022'"),
        (["--law", "chinchilla"], "give --flops C,..."),
        (["x.csv", "--ratio", "20", "--to-loss", "2"], "--ratio is of a budget"),
        (
            ["--law", "chinchilla:hoffmann2022", "--flops", "1e20", "--ratio", "20"],
            "leave out --ratio",
        ),
        (["--law", "chinchilla:hoffmann2022", "--flops", "-1"], "--flops -1: must lie above 0"),
        (["--flops", "2", "--unit", "hours", "--flops-per-unit", "1"], "give --budget"),
        (["--budget", "2", "--unit", "hours", "--price", "1"], "serves --unit money"),
        (["--law", "power_law_no_offset:shehper_nanogpt_params", "--flops", "1"], "no all"),
    ],
)
def test_mistake_is_one_line_and_status_2(arguments, said, capsys):
    assert main(["plan", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert said in printed.err


def test_every_kind_of_plan_is_a_table_with_its_reach(csv, capsys):
    asked = ["--flops", "1e21,1e22", "--size", "3e9", "--ratio", "20", "--to-loss", "2.2"]
    asked += ["--inference-tokens", "1e11", "--iso-loss", "2.2", "--bootstrap", "30", "--json"]
    assert main(["plan", csv, *COLUMNS, *asked]) == 0
    said = json.loads(capsys.readouterr().out)
    counted = {"compute": "6 N D", "params": "n", "tokens": "d", "loss": "nats"}
    assert counted.items() <= said["columns"][0].items()
    assert [len(said[name]) for name in ("plans", "fixed_size", "fixed_ratio")] == [2, 2, 2]
    assert len(said["with_serving"]) == 2 and len(said["to_loss"]) == 1
    assert len(said["iso_loss"]) >= 5
    for name in ("fixed_size", "fixed_ratio", "with_serving", "to_loss", "iso_loss"):
        for row in said[name]:
            assert row["loss"]["low"] < row["loss"]["value"] < row["loss"]["high"]
            assert row["C_times_outside"] >= 1


def test_far_plans_warn_and_farther_ones_are_refused(csv, capsys):
    assert main(["plan", csv, *COLUMNS, "--flops", "1e25", "--bootstrap", "30"]) == 0
    said = capsys.readouterr().out
    assert "WARNING" in said and "per decade" in said
    far = ["plan", csv, *COLUMNS, "--flops", "1e30", "--bootstrap", "30"]
    assert main(far) == 2
    assert "give --beyond" in capsys.readouterr().err
    assert main([*far, "--beyond"]) == 0
