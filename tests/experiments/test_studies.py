from __future__ import annotations

import pytest

from experiments import studies
from experiments.record import Part


def test_packaged_studies_are_found_by_name_or_as_the_tree_shows_them():
    assert {"quickstart", "isoflop"} <= set(studies.files(studies.STUDY))
    assert studies.load("quickstart") == studies.load("studies/quickstart")


UNFITTED = ("lr_transfer", "critical_batch")  # their answer predicts no other runs


@pytest.mark.parametrize("name", studies.files(studies.STUDY))
def test_packaged_study_is_a_sound_plan(name):
    """Distinct runs, rungs from 0 by compute, and what is held out dearer than what is fitted."""
    study = studies.load(name)
    assert study.name == name
    fit, held_out = study.part(Part.FIT), study.part(Part.HELD_OUT)
    assert fit
    assert held_out or name in UNFITTED
    assert len({run.run_id for run in study.runs}) == len(study.runs)
    rungs = sorted({run.rung for run in fit})
    assert rungs == list(range(len(rungs)))
    assert {run.rung for run in held_out} <= {len(rungs)}
    cheapest = [min(r.ledger["flops_6nd"] for r in fit if r.rung == rung) for rung in rungs]
    assert cheapest == sorted(cheapest)
    most = max(run.ledger["flops_6nd"] for run in fit)
    assert all(run.ledger["flops_6nd"] > most for run in held_out)
