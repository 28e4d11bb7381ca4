from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import pytest
import records
import tiny

from experiments import record, studies
from experiments.record import StudyPart
from scaling.common.errors import UserError


def test_packaged_studies_are_found_by_name():
    assert {"quickstart", "isoflop"} <= set(studies.files(studies.STUDY))


@pytest.mark.parametrize("text", ["/nonsense/quickstart", "studies/quickstart", "./quickstart"])
def test_no_part_of_a_path_is_dropped(text):
    with pytest.raises(UserError, match=f"{text}: no such folder"):
        studies.load(text)


def test_a_folder_of_runs_names_its_study_with_its_settings(tmp_path, monkeypatch):
    """By any way of writing the folder; a folder called as a packaged study is read as a folder."""
    mine = tmp_path / "mine.py"
    mine.write_text(tiny.STUDY_FILE.format(path="texts"))
    for given, settings in (
        (str(mine), ["seed=3", "model.ffn=64"]),
        ("quickstart", ["seed=2"]),
        ("families", ["stage=tune"]),  # whose name is another than its file's
        ("lr_transfer", ["over=depth"]),
    ):
        study = studies.load(given, settings)
        folder = tmp_path / "quickstart"
        plan = records.plan(study.name, [], settings=study.settings, file=study.file)
        folder.mkdir(exist_ok=True)
        record.write(folder, plan)
        monkeypatch.chdir(tmp_path)
        for text in (str(folder), "./quickstart", "quickstart/"):
            assert studies.load(text) == study
            assert studies.named(text).folder == Path(text)
        others = [text for text in settings if not text.startswith("seed=")]
        assert studies.load(str(folder), ["seed=5"]) == studies.load(given, [*others, "seed=5"])


def test_a_folder_without_a_study(tmp_path):
    with pytest.raises(UserError, match="holds no study"):
        studies.load(str(tmp_path))


LARGE = ("gpu", "pod")  # scales that bring a corpus of their own
STDLIB = 11_600_000  # training bytes of the default corpus, at least


@pytest.mark.parametrize("name", studies.files(studies.STUDY))
def test_a_study_as_it_stands_fits_the_default_corpus(name):
    """At every scale for a CPU and in every stage."""
    hints = get_type_hints(studies.files(studies.STUDY)[name].study)
    choices = [
        [f"{key}={value}" for value in get_args(hints.get(key, Literal[""])) if value not in LARGE]
        for key in ("scale", "stage")
    ]
    for assignments in product(*choices):
        for run in studies.load(name, [each for each in assignments if each[-1] != "="]).runs:
            data = run.config.science.data
            if data.source == "stdlib" and not data.corpora:
                assert run.config.science.tokens <= data.epochs * STDLIB, (assignments, run.label)


WITHIN = ("routed", "mixtures")  # what is held out is no dearer: a cell, other mixtures
UNFITTED = (
    "lr_transfer",
    "critical_batch",
    "repeated",
    "knowledge",
    "merging",
    "growth",
    "pruning",
    "distillation",
    "quantization",
    "tuning",
    "moe_sparsity",
    "state_tracking",
    "hestness",
    "languini",
    "filtering",
    "zero_cost",
)
# their answers predict no other runs


@pytest.mark.parametrize("name", studies.files(studies.STUDY))
def test_packaged_study_is_a_sound_plan(name):
    """Distinct runs, rungs from 0 by compute, and what is held out dearer than what is fitted."""
    study = studies.load(name)
    assert study.name == name
    fit, held_out = study.part(StudyPart.FIT), study.part(StudyPart.HELD_OUT)
    assert fit
    assert held_out or name in UNFITTED
    assert len({run.run_id for run in study.runs}) == len(study.runs)
    rungs = sorted({run.rung for run in fit})
    assert rungs == list(range(len(rungs)))
    if name in WITHIN:
        return
    assert {run.rung for run in held_out} <= {len(rungs)}
    cheapest = [min(r.ledger["flops_6nd"] for r in fit if r.rung == rung) for rung in rungs]
    assert cheapest == sorted(cheapest)
    most = max(run.ledger["flops_6nd"] for run in fit)
    assert all(run.ledger["flops_6nd"] > most for run in held_out)
