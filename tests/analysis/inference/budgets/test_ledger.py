"""Bills by hand: shares of populations, parents' steps, estimates that say so, and tuning."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import msgspec
import pytest
import records

from analysis.__main__ import main
from analysis.cli._measured import add_unit, per_unit
from analysis.inference.budgets.ledger import Prices, bills
from experiments import record
from scaling.common.errors import UserError

H100 = msgspec.structs.replace(
    records.ENVIRONMENT, device="gpu NVIDIA H100 80GB HBM3", devices=2, members=4
)


def write(folder: Path, name: str, environment=records.ENVIRONMENT, **metrics: float) -> None:
    known = {"steps": 100, "steps_trained": 50, "tokens_trained": 6400, "wall_seconds": 7200.0}
    summary = records.run_summary(
        name,
        metrics={**known, **metrics},
        environment=environment,
        accounting={"flops_model": 1e15, "flops_6nd": 8e14},
        science={"precision": "float32"},
    )
    (folder / name).mkdir(parents=True)
    record.write(folder / name, summary)


def test_a_bill_by_hand(tmp_path: Path):
    write(tmp_path / "a", "one")
    write(tmp_path / "a", "two", H100)
    (bill,) = bills([str(tmp_path / "a")], Prices(watts=100, pue=1.5, grid=400, money=2))
    assert bill.hours == pytest.approx(2 + 2 * 2 / 4)
    assert bill.flops == pytest.approx(2 * 0.5e15)
    assert bill.flops_6nd == pytest.approx(2 * 0.4e15)
    assert bill.tokens == 12800
    assert bill.kwh == pytest.approx(0.1 * 3 * 1.5)
    assert bill.grams == pytest.approx(bill.kwh * 400)
    assert bill.money == pytest.approx(6)
    assert bill.energy_source == "estimated"
    assert bill.mfu == pytest.approx(0.5e15 / (3600 * H100_PEAK))


H100_PEAK = 4.945e14  # TF32, dense


def test_measured_energy_needs_no_watts(tmp_path: Path):
    write(tmp_path / "a", "one", energy_joules=3.6e6)
    (bill,) = bills([str(tmp_path / "a")], Prices(pue=1.2))
    assert bill.kwh == pytest.approx(1.2)
    assert bill.energy_source == "measured"
    write(tmp_path / "a", "two")
    (both,) = bills([str(tmp_path / "a")], Prices())
    assert both.kwh is None and both.energy_source == "unknown"


def test_studies_below_a_folder_and_the_share_of_tuning(tmp_path: Path, capsys):
    write(tmp_path / "runs" / "a", "one")
    write(tmp_path / "runs" / "b", "one", wall_seconds=2400.0)
    told = ["--tuning", str(tmp_path / "runs" / "b"), "--watts", "50"]
    assert main(["bill", str(tmp_path / "runs"), *told]) == 0
    said = capsys.readouterr().out
    assert "tuning 25.0%" in said and "b (tuning)" in said
    assert "energy is an estimate: 50 W" in said


def test_a_folder_without_runs_is_refused(tmp_path: Path, capsys):
    with pytest.raises(UserError, match="no run has ended here"):
        bills([str(tmp_path)], Prices())
    assert main(["bill", str(tmp_path), "--pue", "0.5"]) == 2
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("unit", "needs", "rate"),
    [
        ("hours", [], 8e14 / 3),
        ("kwh", ["--watts", "100"], 8e14 / 0.3),
        ("money", ["--price", "2"], 8e14 / 6),
    ],
)
def test_a_budget_in_a_unit_is_worth_what_the_runs_spent(tmp_path: Path, unit, needs, rate):
    write(tmp_path / "a", "one")
    write(tmp_path / "a", "two", H100)
    parser = ArgumentParser()
    add_unit(parser)
    arguments = ["--unit", unit, "--measured", str(tmp_path / "a")]
    assert per_unit(parser.parse_args([*arguments, *needs])) == pytest.approx(rate)
    if needs:
        with pytest.raises(UserError, match=f"give {needs[0]}"):
            per_unit(parser.parse_args(arguments))
    write(tmp_path / "b", "idle", steps=0)
    with pytest.raises(UserError, match="record no steps"):
        per_unit(parser.parse_args(["--unit", "hours", "--measured", str(tmp_path / "b")]))
    with pytest.raises(UserError, match="or --measured"):
        per_unit(parser.parse_args(["--unit", unit]))
