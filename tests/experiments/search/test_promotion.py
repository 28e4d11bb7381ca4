from __future__ import annotations

import math
from fractions import Fraction

import jax
import numpy as np
import pytest
import records
import tiny

from experiments import data, record
from experiments.config.overrides import override
from experiments.launchers.local import Local
from experiments.plan.grids import configs, grid
from experiments.plan.run import Continued, Fresh, Run
from experiments.record import Parent, RunRecord, RunSummary, Status, StudyPlan
from experiments.runs.branch_point import take_over
from experiments.runs.checkpoint import Checkpoints
from experiments.runs.job import Job
from experiments.search.halving import Bracket, successive_halving
from experiments.search.promotion import Evaluator, longer
from experiments.training.hypers import hypers
from experiments.training.step import recipe
from experiments.training.trainer import programs, train
from scaling.common.errors import UserError

UNIT = 20 * 64  # twenty steps, no whole number of dispatches


@pytest.fixture(scope="module")
def base(texts):
    steps = ("schedule.warmup_fraction=0.1", f"budget.tokens={UNIT}")
    return tiny.config("schedule.name=constant", *steps, texts=texts)


FRESH = Fresh()


def job(folder, config, beginning=FRESH) -> Job:
    run = Run(config, rung=0, beginning=beginning)
    return Job(run, "tiny", folder / run.run_id)


def end(config) -> Continued:
    return Continued(Run(config, 0), config.science.steps)


def state(job):
    config = job.run.config
    with Checkpoints(job.folder / record.CHECKPOINTS) as checkpoints:
        return checkpoints.restore(programs(recipe(config)).init(hypers(config.science)))


def loss(job) -> float:
    return record.read(job.folder, RunSummary).metrics.loss


def validations(job) -> list[dict[str, float | None]]:
    return [row for row in records.means(job.folder) if "valid_loss" in row]


def test_promoted_run_ends_as_if_it_had_trained_straight_through(tmp_path, base, cache):
    corpus = data.Corpora(cache)
    short, straight = job(tmp_path / "a", base), job(tmp_path / "b", longer(base, 3 * UNIT))
    promoted = job(tmp_path / "a", longer(base, 3 * UNIT), end(base))
    train(short, corpus)
    assert take_over(promoted) is None
    first = [row.step for row in record.read_rows(promoted.folder / record.METRICS)][-1]
    assert first == 20
    seen = []
    assert train(promoted, corpus, watch=seen.append) is Status.COMPLETED
    assert min(event.step for event in seen if event.phase == "training") > 20
    train(straight, corpus)
    jax.tree.map(np.testing.assert_array_equal, state(promoted), state(straight))
    assert loss(promoted) == loss(straight) != loss(short)
    assert validations(promoted) == validations(straight)
    assert int(state(promoted).step) == 60
    parent = Parent(run_id=short.run.run_id, step=20)
    assert record.read(promoted.folder, RunRecord).parents == (parent,)


def test_warm_up_keeps_its_steps(base):
    for factor in (1, 2, 3, 7, 1000):
        science = longer(base, factor * UNIT).science
        assert science.steps == 20 * factor
        assert float(hypers(science).warmup_steps) == 2


def test_run_whose_rate_depends_on_its_length_cannot_be_promoted(base):
    with pytest.raises(UserError, match=r"^schedule\.name=cosine: .* set schedule\.name=constant$"):
        longer(override(base, ["schedule.name=cosine"]), 2 * UNIT)


def test_run_that_would_end_within_its_warm_up_is_refused(base):
    with pytest.raises(UserError, match=r"^a run of 1 steps is shorter than its warm-up of 2; .*"):
        longer(base, 64)


@pytest.mark.slow
def test_halving_trains_each_rung_on_from_the_one_before_and_is_gone_on_with(tmp_path, base, cache):
    rates = (1e-4, 1e30, 4e-3, 1e-2)
    candidates = configs(base, grid({"optimizer.learning_rate": rates}))

    def search():
        evaluate = Evaluator("search", tmp_path / "search", cache, Local(1), unit=UNIT)
        return successive_halving(Bracket(Fraction(1), candidates), 2, 2, evaluate)

    done = search()
    scores = {b: list(row.values()) for b, row in done.scores.items()}
    assert [len(row) for row in scores.values()] == [4, 2, 1]
    assert math.isnan(scores[Fraction(1)][1])
    [best] = done.scores[Fraction(4)]
    assert best.science.optimizer.learning_rate in rates[2:]
    made = sorted((tmp_path / "search").glob("*/config.json"))
    assert len(made) == 7
    configs_made = [record.read(path.parent, RunRecord) for path in made]
    tokens = {c.run_id: c.science["budget"]["tokens"] for c in configs_made}
    parents = {c.run_id: parent.run_id for c in configs_made for parent in c.parents}
    lineage = [(tokens[parent], tokens[child]) for child, parent in parents.items()]
    assert sorted(lineage) == [(UNIT, 2 * UNIT)] * 2 + [(2 * UNIT, 4 * UNIT)]
    written = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "search").glob("*/summary.json")
    }
    again = search()
    assert repr(again.scores) == repr(done.scores)
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert len(record.read(tmp_path / "search", StudyPlan).runs) == 7
