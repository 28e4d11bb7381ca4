"""Readings of real runs, from training to the report."""

from __future__ import annotations

import pytest
import tiny

from analysis.readings import critical_batch
from analysis.tables.study import load_study
from experiments.plan.designs import runs
from experiments.plan.grids import chain, grid
from experiments.plan.study import Study
from experiments.sweep.sweep import bind, write_study
from experiments.training.trainer import train

pytestmark = pytest.mark.slow  # a minute; its parts have tests of their own


def test_real_runs_end_to_end(tmp_path):
    """Tiny models at four batches, trained: the smallest batch takes the most steps."""
    texts = tiny.write_texts(tmp_path / "texts")
    base = tiny.config(
        "schedule.name=constant", "evaluation.times=16", "execution.steps_per_dispatch=4",
        "parametrization.name=sp", texts=texts,
    )  # fmt: skip
    rows = [
        grid({"batch.sequences": [b], "budget.tokens": [6400 + 800 * b],
              "optimizer.learning_rate": [0.003 * b**0.5]})
        for b in (1, 2, 4, 8)
    ]  # fmt: skip
    study = Study(
        "tiny", "How large?", runs(base, [chain(*rows)]), law=None, reading="critical_batch"
    )
    sweep = bind(study, tmp_path / "out", tmp_path / "cache")
    write_study(sweep)
    for run in sweep.study.runs:
        train(sweep.job(run), sweep.corpora)
    found = critical_batch.read(load_study(tmp_path / "out"))
    assert found is not None
    for each in found.hyperbolas:
        assert each.steps[0] == max(each.steps)
        assert set(each.batch) <= {16.0, 32.0, 64.0, 128.0}
