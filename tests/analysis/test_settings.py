"""Valleys of a study that sweeps a setting and fits no law."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from analysis.report import write_report
from analysis.settings import find_valleys
from analysis.study import load_study
from experiments.record import STUDY, SUMMARY, write_json

RATES = (0.01, 0.001, 0.004)
BEST = {("mup", 1000): 0.004, ("mup", 4000): 0.004, ("sp", 1000): 0.01, ("sp", 4000): 0.001}


def write(folder: Path, rates: tuple[float, ...] = RATES) -> Path:
    """Two sizes, two parametrizations, two seeds; seeds pull apart and their mean is the valley."""
    entries = []
    for (name, size), best in BEST.items():
        for rate in rates:
            for seed, pull in ((0, -0.3), (1, 0.3)):
                run_id = f"{name}{size}{rate}{seed}"
                rung = int(size > 1000)
                counts = {"params_total": size, "tokens": 100, "flops_6nd": 600.0 * size}
                entries.append({"run_id": run_id, "part": "fit", "rung": rung, **counts})
                loss = 2 + math.log(rate / best) ** 2 + pull * (rate == best)
                summary = {
                    "run_id": run_id, "study": "valleys", "part": "fit", "rung": rung,
                    "science": {
                        "optimizer": {"learning_rate": rate, "beta1": 0.9},
                        "parametrization": {"name": name},
                        "seed": seed,
                    },
                    "execution": {}, "status": "completed", "message": "", "diverged_step": None,
                    "metrics": {**counts, "loss": loss}, "environment": {},
                    "prediction_sha256": None,
                }  # fmt: skip
                write_json(folder / run_id / SUMMARY, summary)
    names = {"name": "valleys", "question": "Where?", "law": None, "loss": "loss"}
    write_json(
        folder / STUDY,
        {
            **names,
            "params": "params_total",
            "tokens": "tokens",
            "settings": {},
            "corpus": {},
            "runs": entries,
        },
    )
    return folder


def test_each_valley_is_the_mean_over_seeds_of_runs_that_differ_in_the_setting_alone(tmp_path):
    found = find_valleys(load_study(write(tmp_path)))
    assert found is not None
    assert found.setting == "optimizer.learning_rate"
    assert {(v.kind[0], round(v.params)): v.best for v in found.valleys} == BEST
    for valley in found.valleys:
        assert list(valley.losses) == sorted(RATES)
        assert valley.losses[valley.best] == pytest.approx(2)


def test_report_answers_with_the_best_settings_and_draws_the_valleys(tmp_path):
    evidence = write_report(write(tmp_path))
    assert evidence.sentence == (
        "best optimizer.learning_rate: mup 0.004 at N = 1k, 0.004 at N = 4k; "
        "sp 0.01 at N = 1k, 0.001 at N = 4k"
    )
    assert evidence.missing == ()
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {"valleys"}
    page = (tmp_path / "report.html").read_text()
    assert "bootstrap" not in page and "checklist" not in page
    assert not (tmp_path / "fit.json").exists()
    assert json.loads((tmp_path / STUDY).read_text())["law"] is None


def test_two_values_are_no_valley(tmp_path):
    study = load_study(write(tmp_path, RATES[:2]))
    assert find_valleys(study) is None
    assert "too few runs" in write_report(tmp_path).sentence
