"""Valleys of a study that sweeps a setting and fits no law, and their report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import records

from analysis.__main__ import main
from analysis.estimators.valleys import find_valleys
from analysis.readings.transfer import read
from analysis.report.report import write_page
from analysis.tables.study import load_study
from experiments import record
from experiments.record import Status, StudyPlan

RATES = (0.01, 0.001, 0.004, 0.002)
BEST = {("mup", 16): 0.004, ("mup", 32): 0.004, ("sp", 16): 0.004, ("sp", 32): 0.002}


def write(
    folder: Path,
    rates: tuple[float, ...] = RATES,
    label: str = "{}",
    published: Mapping[str, str] | None = None,
    lost: tuple[float, int] | None = None,
) -> Path:
    """Two widths, two parametrizations, three seeds: each with its level and its least.

    The run of the rate and seed in `lost` has not completed.
    """
    entries = []
    for (name, width), best in BEST.items():
        for rate in rates:
            for seed, pull in ((0, -0.3), (1, 0.3), (2, 0.0)):
                run_id = f"{name}{width}{rate}{seed}"
                counts = {
                    "params_total": 12 * width**2,
                    "tokens": 100,
                    "flops_6nd": 7200.0 * width**2,
                }
                rung = int(width > 16)
                entries.append(records.planned(run_id, "fit", rung, label.format(name), **counts))
                octaves = math.log2(rate / best) - 0.2 * pull
                loss = 2 + octaves**2 + pull
                summary = records.run_summary(
                    run_id,
                    Status.DIVERGED if (rate, seed) == lost else Status.COMPLETED,
                    {"loss": loss},
                    study="valleys",
                    rung=rung,
                    science={
                        "model": {"width": width},
                        "optimizer": {"learning_rate": rate, "beta1": 0.9},
                        "parametrization": {"name": name},
                        "seed": seed,
                    },
                    accounting=counts,
                )
                record.write(folder / run_id, summary)
    record.write(folder, records.plan("valleys", entries, published=published or {}))
    return folder


def test_a_valley_is_the_runs_that_differ_in_the_setting_and_the_seed_alone(tmp_path):
    found = find_valleys(load_study(write(tmp_path)))
    assert found is not None
    assert found.setting == "optimizer.learning_rate"
    assert [(v.kind[0], round(v.sizes["model.width"])) for v in found.valleys] == list(BEST)
    for valley, best in zip(found.valleys, BEST.values(), strict=True):
        assert valley.seeds == (0, 1, 2)
        assert list(valley.values) == sorted(RATES)
        assert valley.values[np.argmin(valley.mean)] == best
        np.testing.assert_allclose(valley.losses[2], np.log2(valley.values / best) ** 2 + 2)
        np.testing.assert_allclose(valley.error, valley.losses.std(axis=0, ddof=1) / math.sqrt(3))


def test_a_label_says_the_kind_and_their_order_is_the_plans(tmp_path):
    found = find_valleys(load_study(write(tmp_path, label="{} with gains")))
    assert found is not None
    assert list(found.kinds) == [("mup with gains",), ("sp with gains",)]


def test_a_value_at_which_a_seed_is_lost_is_left_out(tmp_path):
    found = find_valleys(load_study(write(tmp_path, lost=(0.01, 1))))
    assert found is not None
    assert {tuple(valley.values) for valley in found.valleys} == {(0.001, 0.002, 0.004)}


def test_report_tells_whether_the_best_setting_transfers(tmp_path, capsys):
    folder = write(tmp_path, label="{}", published={"sp": "no"})
    assert main(["report", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    lines = [[cell.strip() for cell in line.split("|")] for line in said if "|" in line]
    heads, _, *bests = lines[:-4]
    assert heads[1:4] == ["kind", "N", "best optimizer.learning_rate"]
    assert [(row[1], float(row[3].partition(" ")[0])) for row in bests] == [
        (kind, best) for (kind, _), best in BEST.items()
    ]
    head, _, mup, sp = lines[-4:]
    assert head[1:4] == ["kind", "width 16", "width 32"]
    assert mup[-3:-1] == ["yes", "–"] and sp[-3:-1] == ["no", "no"]
    assert sp[4] == "-1.00 [-1.00, -1.00]"  # each seed's leasts lie off by the same
    assert said[-1].startswith(
        "as the model grows, the best optimizer.learning_rate transfers for mup, moves for sp; "
        "the best, mup at N = "
    )
    page = (tmp_path / "report.html").read_text().partition("<script>")[0]  # of the charts
    assert "Does the best setting transfer?" in page and "-1.00 [-1.00, -1.00]" in page
    assert "bootstrap" not in page and "checklist" not in page
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {"valleys"}
    assert not (tmp_path / "fit.json").exists()
    assert record.read(tmp_path, StudyPlan).law is None


def test_the_answer_of_one_kind_does_not_name_it(tmp_path):
    found = read(load_study(write(tmp_path)))
    assert found is not None
    said = str(replace(found, transfers=found.transfers[:1]))
    assert said.startswith(
        "as the model grows, the best optimizer.learning_rate transfers; the best, at N = "
    )


def test_two_values_are_no_valley(tmp_path):
    study = load_study(write(tmp_path, RATES[:2]))
    assert find_valleys(study) is None
    assert "too few runs" in write_page(load_study(tmp_path)).sentence
