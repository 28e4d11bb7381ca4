"""A checkpoint goes on under a program whose layers have the other form."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
import records
import tiny

from experiments.record import Status
from experiments.runs.layer_stacking import is_stacked, turn
from experiments.training.hypers import hypers
from experiments.training.populations.programs import programs
from experiments.training.step import recipe
from experiments.training.trainer import train

MODEL = ("model.layers=3", "evaluation.weights=ema")
FORMS = ("unrolled", "scan")


def test_turned_state_is_that_of_the_other_program():
    states = []
    for form in FORMS:
        config = tiny.config(*MODEL, f"execution.program.layers={form}")
        states.append(programs(recipe(config)).init(hypers(config.science)))
    unrolled, stacked = states
    assert (is_stacked(unrolled), is_stacked(stacked)) == (False, True)
    for ours, theirs in ((turn(unrolled), stacked), (turn(stacked), unrolled)):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_run_goes_on_in_either_form(tmp_path: Path):
    texts = tiny.write_texts(tmp_path / "texts")
    corpus = tiny.OneCorpus(texts, tmp_path / "cache")
    alone = tiny.job(tmp_path / "alone", *MODEL)
    assert train(alone, corpus) is Status.COMPLETED
    for turns, form in enumerate(FORMS):
        job = tiny.job(tmp_path / "turned", *MODEL, f"execution.program.layers={form}")
        last = turns == len(FORMS) - 1
        status = train(job, corpus, interrupted=lambda last=last: not last)
        assert status is (Status.COMPLETED if last else Status.STARTED)
    ours, theirs = (
        [row["loss"] for row in records.means(job.folder) if "loss" in row] for job in (job, alone)
    )
    assert ours == pytest.approx(theirs, rel=1e-5)
