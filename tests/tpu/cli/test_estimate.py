"""`windtunnel tpu estimate` on a machine with no TPU: rows, totals and refusals."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import records

from experiments import record
from experiments.config.fields import to_dict
from experiments.config.run import RunConfig
from experiments.studies import load
from scaling.machines.chips import chip
from tpu.__main__ import main

POD = ("estimate", "isoflop", "--set", "scale=pod", "--chip", "v5p", "--chips", "128")


def cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if "  " in line]
    return [re.split(r" {2,}", line) for line in lines]


def table(text: str) -> list[dict[str, str]]:
    head, *rows = cells(text)
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_a_row_for_every_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(POD) == 0
    text = capsys.readouterr().out
    rows, runs = table(text), load("isoflop", ["scale=pod"]).runs
    assert len(rows) == len(runs)
    assert "128 x v5p 4x4x8" in text
    for row, planned in zip(rows, runs, strict=True):
        book = planned.ledger
        assert float(row["params_total"]) == pytest.approx(book["params_total"], rel=5e-3)
        assert float(row["FLOPs"]) == pytest.approx(book["flops_model"], rel=5e-3)
        # chip-hours from the row's own MFU, which is printed as whole per cents of about 75
        hours = book["flops_model"] / chip("v5p").flops("bfloat16") / 3600
        mfu = float(row["MFU"].rstrip("%")) / 100
        assert float(row["chip-hours"]) == pytest.approx(hours / mfu, rel=0.02)
        assert float(row["days"]) == pytest.approx(float(row["chip-hours"]) / 128 / 24, rel=5e-3)
    total = sum(float(row["chip-hours"]) for row in rows)
    found = float(text.splitlines()[-1].split()[-2].replace(",", ""))
    assert found == pytest.approx(total, rel=2e-3)


def test_a_measured_mfu_lengthens_the_days(capsys: pytest.CaptureFixture[str]) -> None:
    assert main((*POD, "--mfu", "0.4")) == 0
    assert {row["MFU"] for row in table(capsys.readouterr().out)} == {"40%"}


def test_a_named_layout_with_its_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    named = ("--layout", "fsdp_tensor", "--set", "execution.layout.tensor=2")
    assert main((*POD, *named)) == 0
    assert {row["layout"] for row in table(capsys.readouterr().out)} == {"fsdp 64, tensor 2"}


def test_why_shows_what_there_was_to_choose_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main((*POD, "--why")) == 0
    rows = cells(capsys.readouterr().out)
    assert ["layout", "microbatch", "GiB/chip"] in [row[:3] for row in rows]
    assert any(row[0] == "fsdp 128" for row in rows)


@pytest.mark.slow
def test_why_says_how_many_runs_to_train_together(capsys: pytest.CaptureFixture[str]) -> None:
    pod = ("--set", "scale=pod", "--chip", "v5e", "--chips", "64")
    assert main(("estimate", "hyperparameter_law", *pod, "--why")) == 0
    _, found = capsys.readouterr().out.split("runs_per_program")
    layouts = [row[2] for row in cells(found) if len(row) == 6]
    assert any("population" in layout for layout in layouts)


def test_one_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    record.write(tmp_path, records.run_record(**to_dict(RunConfig())))
    options = ("--chip", "v5e", "--chips", "1", "--set", "precision=bfloat16")
    assert main(("estimate", str(path), *options)) == 0
    (row,) = table(capsys.readouterr().out)
    assert row["layout"] == "single"


def test_runs_that_fit_in_no_way_are_told_below(capsys: pytest.CaptureFixture[str]) -> None:
    one = ("estimate", "isoflop", "--set", "scale=pod", "--chip", "v5e", "--chips", "1")
    assert main(one) == 1
    text = capsys.readouterr().out
    rows = table(text)
    assert 0 < sum(row["layout"] == "-" for row in rows) < len(rows)
    assert "fits in no way: 1 x v5e: single needs" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--chip", "v5x"), "chip 'v5x'"),
        (("--chips", "0"), "--chips 0: must be at least 1"),
        (("--mfu", "40"), "--mfu 40: must lie above 0"),
        (("--layout", "single"), "one device is not the 128 devices"),
        (("--layout", "pipeline"), "give execution.layout.stage a size"),
    ],
)
def test_mistakes_are_one_line(
    options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main((*POD, *options)) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert captured.err.count("\n") == 1


def test_an_estimate_needs_no_jax() -> None:
    code = (
        f"import sys; from tpu.__main__ import main; main({POD!r}); assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
