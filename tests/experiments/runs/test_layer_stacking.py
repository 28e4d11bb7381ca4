"""A checkpoint goes on under a program whose layers have the other form."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import records
import tiny

from experiments.record import Status
from experiments.runs.layer_stacking import is_stacked, turn
from experiments.training.trainer import train
from models.module import Spec
from models.transformer import init
from scaling.machines.program import PLAIN

SHARED = ("model.layers=4", "model.sharing=cycle", "model.layers_unique=2")
FORMS = ("unrolled", "scan")


@pytest.mark.parametrize(
    "model",
    [
        ("model.layers=3",),
        ("model.layers=4", "model.pattern=attention,qlstm"),
        ("model.layers=2", "model.pattern=attention,qlstm"),
        SHARED,
    ],
)
def test_turned_state_is_that_of_the_other_program(model: tuple[str, ...]):
    config = replace(tiny.config(*model).science.model, width=8, ffn=8)
    states = []
    for form in FORMS:
        spec = Spec(config, program=replace(PLAIN, layers=form))
        params = jax.jit(partial(init, spec, 8))(jax.random.key(0))
        states.append({"params": params, "ema": params})
    unrolled, stacked = states
    assert (is_stacked(unrolled), is_stacked(stacked)) == (False, True)
    for ours, theirs in ((unrolled, stacked), (stacked, unrolled)):
        jax.tree.map(np.testing.assert_array_equal, turn(ours, theirs), theirs)


def test_states_of_two_models_are_told_apart():
    params = [{f"blocks_{i}": {"w": np.zeros(2)} for i in range(3)}, {"blocks": {}}]
    params[1]["blocks"] = {"0": {"w": np.zeros((1, 2))}, "1": {"w": np.zeros((1, 2))}}
    with pytest.raises(ValueError, match="3 layers are no multiple of 2 blocks"):
        turn(*params)


@pytest.mark.parametrize(
    "model", [("model.layers=3",), pytest.param(SHARED, marks=pytest.mark.slow)]
)
def test_run_goes_on_in_either_form(tmp_path: Path, model: tuple[str, ...]):
    fields = (*model, "evaluation.weights=ema")
    texts = tiny.write_texts(tmp_path / "texts")
    corpus = tiny.OneCorpus(texts, tmp_path / "cache")
    alone = tiny.job(tmp_path / "alone", *fields)
    assert train(alone, corpus) is Status.COMPLETED
    for turns, form in enumerate(FORMS):
        job = tiny.job(tmp_path / "turned", *fields, f"execution.program.layers={form}")
        last = turns == len(FORMS) - 1
        status = train(job, corpus, interrupted=lambda last=last: not last)
        assert status is (Status.COMPLETED if last else Status.STARTED)
    ours, theirs = (
        [row["loss"] for row in records.means(job.folder) if "loss" in row] for job in (job, alone)
    )
    assert ours == pytest.approx(theirs, rel=1e-5)
