"""The reading of abilities: sealed before the held-out run, then beside its measurement."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import records
from ability_worlds import ITEMS, TARGET, answered, drawn_items, level, world

from analysis.readings import abilities
from analysis.tables.study import load_study
from experiments import record
from experiments.record import ItemResult, PredictionRecord, TaskHeader, write_items
from scaling.common.console import main
from scaling.common.errors import UserError

HELD = "held"


def write(
    folder: Path, run: str, right: np.ndarray, wrong: np.ndarray, hits: np.ndarray, step: int = 50
) -> None:
    """The items of a run with two choices each, of which the likelier is as `hits` says."""
    results = [
        ItemResult(
            item=f"{k}",
            log_probabilities=(float(a), float(min(b, a - 0.01) if hit else max(b, a + 0.01))),
            bytes=(5, 5),
            tokens=(5, 5),
            answer=0,
            is_right=bool(hit),
        )
        for k, (a, b, hit) in enumerate(zip(right, wrong, hits, strict=True))
    ]
    header = TaskHeader(run_id=run, task="synthetic", step=step, version="v", items=len(results))
    write_items(folder / run, header, results, {})


def finish(folder: Path, run: str, params: float, part: str = "fit") -> record.PlannedRun:
    counts = {"params_total": params, "tokens": 1e6, "flops_6nd": 6e6 * params}
    head = {"part": record.StudyPart(part), "accounting": counts, "study": "abilities"}
    record.write(folder / run, records.run_record(run, **head))
    record.write(folder / run, records.run_summary(run, metrics={"loss": 1.0}, **head))
    return records.planned(run, part, **counts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    answers, *_ = world(3)
    plan = []
    for k, run in enumerate(answers.runs):
        plan.append(finish(tmp_path, run, float(answers.params[k])))
        for step in (10, 30, 50):
            easier = answers.right[k] - (50 - step) / 50
            write(tmp_path, run, easier, answers.wrong[k], answers.hits[k], step)
    counts = {"params_total": TARGET, "tokens": 1e6, "flops_6nd": 6e6 * TARGET}
    plan.append(records.planned(HELD, "held_out", 1, **counts))
    plans = records.plan("abilities", plan, reading="abilities", loss="loss", law=None)
    record.write(tmp_path, plans)
    return tmp_path


def test_predictions_are_sealed_and_then_measured(folder: Path, capsys) -> None:
    assert main(["predict", str(folder)]) == 0
    sealed = record.read(folder, PredictionRecord)
    (said,) = sealed.quantities.values()
    assert said["synthetic.direct.low"] < said["synthetic.direct"] < said["synthetic.direct.high"]
    assert {"synthetic.two_step", "synthetic.elusive", "synthetic.cod"} <= said.keys()
    assert len(sealed.fitted_on) == 14
    finish(folder, HELD, TARGET, "held_out")
    rng = np.random.default_rng(9)
    items = drawn_items(ITEMS, rng)
    right, wrong, hits = (each[0] for each in answered(level(np.array([TARGET]), 0), items, rng))
    write(folder, HELD, right, wrong, hits)
    found = abilities.read(load_study(folder))
    assert found is not None
    assert found.measured == {"synthetic": pytest.approx(hits.mean())}
    assert found.predictions == pytest.approx(said), "the held-out run is in no fit"
    assert "measurements lie in their intervals" in str(found)
    assert [len(table.rows) for table in found.tables] == [5, 4]
    (picture,) = found.pictures()
    assert picture.draw().axes
    capsys.readouterr()
    assert main(["abilities", str(folder), "--predict", "600k"]) == 0
    text = capsys.readouterr().out
    assert f"{hits.mean():.4g}" in text and "no samples" in text
    assert "trained before any prediction was sealed" in text
    arguments = ["abilities", str(folder), "--predict", "600k", "--chain", "direct", "--json"]
    assert main(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    (own,) = answer["densities"]
    assert [len(answer[each]) for each in ("breaks", "calibration", "similarities")] == [3, 7, 3]
    assert all(each["neighbours"] > 0.9 for each in answer["similarities"][:2])
    assert own["run"] == HELD and own["density"]["low"] < 1 < own["density"]["high"]
    assert main([*arguments, "--density", str(folder)]) == 0
    beside = json.loads(capsys.readouterr().out)["densities"]
    assert beside == [own], "runs of the reference have no density of their own"


def test_a_size_that_was_fitted_is_no_prediction(folder: Path, capsys) -> None:
    arguments = ["abilities", str(folder), "--predict", "350k", "--chain", "direct"]
    assert main(arguments) == 0
    assert "fitted on 2 runs of the predicted size" in capsys.readouterr().out
    assert main([*arguments, "--tasks", "sums"]) == 2
    assert "no items" in capsys.readouterr().err


def test_a_study_without_items_or_a_held_out_size_is_refused(folder: Path) -> None:
    plan = record.read(folder, record.StudyPlan)
    fit = [run for run in plan.runs if run.part is record.StudyPart.FIT]
    record.write(folder, records.plan("abilities", fit, reading="abilities", loss="loss", law=None))
    with pytest.raises(UserError, match="holds out no size"):
        abilities.read(load_study(folder))
