"""A derived run: initial parameters by an operation, then training like that of any run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny

from experiments import record
from experiments.config.overrides import override
from experiments.evaluation.tasks import validation
from experiments.launchers.local import Local
from experiments.plan import derived
from experiments.plan.run import Continued, Derived, Run
from experiments.plan.study import Study
from experiments.record import RunSummary, Status, StudyPart
from experiments.runs.branch_point import is_ready
from experiments.runs.job import Job
from experiments.sweep.sweep import bind, run_sweep
from experiments.training.derived import check, derived_state, teaching
from experiments.training.derived import taught as with_teachers
from experiments.training.exports.single_file import from_arrays, kept_state, parameters
from experiments.training.hypers import hypers
from experiments.training.populations.grouping import alike, all_populations
from experiments.training.populations.programs import programs
from experiments.training.populations.trained import Trained
from experiments.training.step import TrainState, init_state, recipe, step
from experiments.training.trainer import train
from scaling.common.errors import UserError


def job(folder: Path, run: Run) -> Job:
    return Job(run, "tiny", folder / run.run_id)


@pytest.fixture(scope="module")
def parents(texts) -> tuple[Run, Run]:
    a, b = (tiny.config(f"seed={seed}", texts=texts) for seed in (0, 1))
    return Run(a, 0), Run(b, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, parents, corpus) -> Path:
    """The folder of a study whose parents have ended."""
    folder = tmp_path_factory.mktemp("study")
    for parent in parents:
        assert train(job(folder, parent), corpus) is Status.COMPLETED
    return folder


def params_of(folder: Path, run: Run):
    """The last parameters of a run that has ended."""
    config, _, arrays = parameters(folder / run.run_id)
    return from_arrays(recipe(config), arrays, "here")


def start(folder: Path, run: Run):
    """Its programs and its state before the first step."""
    compiled = programs(recipe(run.config))
    fresh = compiled.init(hypers(run.config.science))
    return compiled, derived_state(job(folder, run), run.beginning, fresh), fresh


def test_average_of_a_run_with_itself_has_its_loss(parents, folder, corpus) -> None:
    run = Run(
        override(parents[0].config, ["seed=7"]), 0, beginning=Derived((parents[0],) * 2, "average")
    )
    compiled, state, fresh = start(folder, run)
    params = params_of(folder, parents[0])
    jax.tree.map(np.testing.assert_array_equal, state.params, params)
    mixture = corpus.mixture(run.config.science.data)

    def valid_loss(state: TrainState) -> float:
        made = recipe(run.config)
        model = Trained(compiled, state, made.microbatch, made)
        return validation.evaluate(model, mixture, run.config.science).metrics["loss"]

    loss = record.read(job(folder, parents[0]).folder, RunSummary).metrics.loss
    assert valid_loss(state) == pytest.approx(loss, rel=1e-6)
    assert valid_loss(fresh) > loss + 0.5


def test_derived_run_trains_from_the_average_and_its_record_names_it(
    parents, folder, corpus
) -> None:
    short = override(parents[0].config, ["budget.tokens=640", "optimizer.learning_rate=1e-4"])
    run = Run(short, 0, beginning=Derived(parents, "average", {"weights": (1.0, 3.0)}))
    _, state, _ = start(folder, run)
    both = [params_of(folder, parent) for parent in parents]
    jax.tree.map(
        lambda ours, a, b: np.testing.assert_allclose(ours, 0.25 * a + 0.75 * b, atol=1e-6),
        state.params,
        *both,
    )
    made = job(folder, run)
    assert train(made, corpus) is Status.COMPLETED
    found = record.read(made.folder, RunSummary)
    assert [(each.run_id, each.step) for each in found.parents] == [
        (parent.run_id, tiny.STEPS) for parent in parents
    ]
    assert found.derivation.operation == "average"
    assert found.derivation.settings == {"weights": [1.0, 3.0]}
    assert found.derivation.flops_parents == sum(p.ledger["flops_model"] for p in parents)
    assert (found.derivation.params_trained, found.derivation.rank) == (
        found.accounting["params_total"],
        None,
    )
    assert (found.derivation.density, found.derivation.bits) == (1, 32)
    assert found.metrics.steps_trained == 10
    first = next(row.loss for row in record.read_rows(made.folder / record.METRICS))
    assert first < 5.4  # ln 256 = 5.5 of a fresh run: the parents have learnt


def test_without_tokens_a_run_is_what_its_operation_made(parents, folder, corpus) -> None:
    run = derived(parents, "average", tokens=0)
    made = job(folder, run)
    assert train(made, corpus) is Status.COMPLETED
    found = record.read(made.folder, RunSummary)
    assert (found.metrics.steps, found.metrics.tokens_trained) == (0, 0)
    assert (found.accounting["tokens"], run.flops) == (0, 0)
    both = [params_of(folder, parent) for parent in parents]
    jax.tree.map(
        lambda ours, a, b: np.testing.assert_allclose(ours, (a + b) / 2, atol=1e-6),
        params_of(folder, run),
        *both,
    )
    assert train(made, corpus) is Status.COMPLETED  # again, from its checkpoint of step 0


def test_the_state_of_the_optimizer_is_fresh_or_mapped(parents, folder) -> None:
    a = parents[0]
    theirs = kept_state(folder / a.run_id, None)[3].optimizer
    _, fresh, _ = start(folder, derived(a, "continue", tokens=640))
    _, kept, _ = start(folder, derived(a, "continue", tokens=640, state="mapped"))
    _, mean, _ = start(folder, derived(parents, "average", tokens=640, state="mapped"))
    leaves = [jax.tree.leaves(each) for each in (theirs, fresh.optimizer, kept.optimizer)]
    assert len(leaves[0]) > 10
    jax.tree.map(np.testing.assert_array_equal, kept.optimizer, theirs)
    assert any(np.abs(leaf).max() > 0 for leaf in leaves[0])
    assert all(np.abs(leaf).max() == 0 for leaf in leaves[1])
    other = kept_state(folder / parents[1].run_id, None)[3].optimizer
    jax.tree.map(
        lambda ours, a, b: np.testing.assert_allclose(ours, (a + b) / 2, rtol=1e-5, atol=1e-12),
        mean.optimizer,
        theirs,
        other,
    )


def test_an_early_checkpoint_is_a_parent_too(parents, texts, tmp_path, corpus) -> None:
    long = Run(tiny.config("execution.permanent=8,24", "execution.keep=1", texts=texts), 0)
    assert train(job(tmp_path, long), corpus) is Status.COMPLETED
    run = derived([long] * 3, "average", at=(8, 24, tiny.STEPS), tokens=0)
    check(run)
    _, state, _ = start(tmp_path, run)
    kept = [kept_state(tmp_path / long.run_id, step)[3].params for step in (8, 24, tiny.STEPS)]
    jax.tree.map(
        lambda ours, *each: np.testing.assert_allclose(ours, sum(each) / 3, atol=1e-6),
        state.params,
        *kept,
    )
    assert run.flops_parents == long.ledger["flops_model"]
    early = derived(long, "continue", at=(24,), tokens=640)
    assert early.flops_parents == pytest.approx(long.ledger["flops_model"] * 24 / tiny.STEPS)
    assert early.run_id != derived(long, "continue", tokens=640).run_id


def test_a_derivation_that_cannot_be_is_one_line_before_training(parents) -> None:
    a, _ = parents
    adafactor = {"optimizer.name": "adafactor"}
    for run, message in [
        (derived(a, "continue", at=(16,)), f"step 16 of run {a.run_id} is not kept; add it to its"),
        (derived(a, "continue", state="mapped", **adafactor), "adafactor with .* has no map; set"),
        (derived(a, "continue", state="mapped", **{"optimizer.name": "lion"}), "is of adamw, the"),
        (replace(a, config=override(a.config, ["budget.tokens=0"])), "begins fresh needs training"),
    ]:
        with pytest.raises(UserError, match=message):
            check(run)


def test_derived_run_waits_for_its_parents(parents, folder, tmp_path) -> None:
    run = Run(parents[0].config, 0, beginning=Derived(parents, "average"))
    assert not is_ready(job(tmp_path, run))
    assert is_ready(job(folder, run))


def test_parent_that_is_not_completed_is_one_line(parents, tmp_path) -> None:
    run = Run(parents[0].config, 0, beginning=Derived(parents, "average"))
    line = f"^cannot begin, for its parent {parents[0].run_id} is missing; train it first$"
    with pytest.raises(UserError, match=line):
        start(tmp_path, run)


def test_derivation_is_identity_and_a_taken_over_checkpoint_is_not(parents) -> None:
    a, b = parents
    ids = {
        replace(a, beginning=beginning).run_id
        for beginning in (
            a.beginning,
            Derived((a, b), "average"),
            Derived((b, a), "average"),
            Derived((a, b), "average", {"weights": (1.0, 2.0)}),
            Derived((a, b), "task_arithmetic"),
        )
    }
    assert len(ids) == 5
    assert replace(a, beginning=Continued(b, 8)).run_id == a.run_id


def test_parents_flops_count_each_ancestor_once(parents) -> None:
    a, b = parents
    cost = a.ledger["flops_model"]
    first = replace(a, beginning=Derived((a, b), "average"))
    second = replace(b, beginning=Derived((first, a), "average"))
    assert (a.flops_parents, first.flops_parents) == (0, 2 * cost)
    assert second.flops_parents == 3 * cost


def test_overrides_reach_the_parents(parents) -> None:
    run = Run(parents[0].config, 0, beginning=Derived(parents, "average"))
    changed = run.override(["optimizer.beta2=0.9"])
    assert [p.run_id for p in changed.beginning.parents] == [
        p.override(["optimizer.beta2=0.9"]).run_id for p in parents
    ]
    assert changed.run_id != run.run_id


def test_a_sweep_trains_the_parents_first(parents, tmp_path, cache) -> None:
    """The derived run is planned first, and is the only one of the part that is asked for."""
    short = [parent.override(["budget.tokens=640"]) for parent in parents]
    trunks = tuple(replace(parent, part=StudyPart.TRUNK) for parent in short)
    run = replace(short[0], beginning=Derived(trunks, "average"))
    bound = bind(Study("tiny", "Why?", (run, *trunks), law=None), tmp_path / "out", cache)
    run_sweep(bound, StudyPart.FIT, Local(1))
    assert [bound.status(each) for each in bound.study.runs] == [Status.COMPLETED] * 3
    found = [record.read(bound.folder / each.run_id, RunSummary) for each in bound.study.runs]
    assert {parent.run_id for parent in found[0].parents} == {one.run_id for one in found[1:]}
    assert found[0].metrics.loss < min(one.metrics.loss for one in found[1:])  # ten more steps


def test_a_study_with_an_unknown_operation_is_refused(parents, tmp_path, cache) -> None:
    runs = (replace(parents[0], beginning=Derived(parents, "averag")), *parents)
    with pytest.raises(UserError, match=r"^operation 'averag': did you mean 'average'"):
        bind(Study("tiny", "Why?", runs, law=None), tmp_path, cache)
    alone = (replace(parents[0], beginning=Derived(parents, "average")), parents[0])
    with pytest.raises(UserError, match="which is not a run of the study; add it"):
        bind(Study("tiny", "Why?", alone, law=None), tmp_path, cache)


@pytest.fixture(scope="module")
def students(parents) -> list[Run]:
    """A run without teachers, and students of two that are as it is."""
    plain = Run(override(parents[0].config, ["seed=3", "model.ffn=16"]), 0)
    given = {"model": plain.config.science.model, "seed": 3, "temperature": 2}
    return [plain, *(derived(parents, "distill", share=share, **given) for share in (0, 0.9))]


def test_a_student_pays_for_its_teachers_and_trains_alone(parents, folder, students) -> None:
    _, alone, taught = students
    check(taught)
    forward = sum(parent.ledger["flops_model"] for parent in parents) / 3
    assert taught.flops_teachers == pytest.approx(forward)  # it sees as many tokens
    assert alone.run_id != taught.run_id
    jobs = [
        job(folder, replace(run, config=override(run.config, ["execution.runs_per_program=4"])))
        for run in (*students, replace(students[0], rung=1))
    ]
    assert sorted(map(len, all_populations(alike(jobs), {}, 1))) == [1, 1, 2]
    found = teaching(jobs[1])
    made, (teacher, _) = with_teachers(jobs[1], recipe(taught.config)), found.teachers
    jax.tree.map(np.testing.assert_array_equal, teacher, params_of(folder, parents[0]))
    given = hypers(taught.config.science, found)
    state = jax.eval_shape(partial(init_state, made), given)
    batch = jax.ShapeDtypeStruct((4, 17), np.int32)
    assert "divergence" in jax.eval_shape(partial(step, made), state, given, batch)[1]


@pytest.mark.slow
def test_a_student_comes_nearer_to_its_teachers(parents, folder, corpus, students) -> None:
    plain, alone, taught = students
    last = {}
    for run in students:
        assert train(job(folder, run), corpus) is Status.COMPLETED
        lines = list(record.read_rows(job(folder, run).folder / record.METRICS))
        last[run.run_id] = [row.metrics for row in lines if row.seconds is not None][-1]
    losses = [last[run.run_id]["loss"] for run in (plain, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    far, near = (last[run.run_id]["divergence"] for run in (alone, taught))
    assert near < 0.9 * far
    found = record.read(job(folder, taught).folder, RunSummary).derivation
    assert found.teachers == tuple(parent.run_id for parent in parents)
    assert found.flops_teachers == taught.flops_teachers


def test_no_layout_has_teachers(parents) -> None:
    run = derived(parents[0], "distill", **{"execution.layout.name": "fsdp"})
    with pytest.raises(UserError, match=r"layout\.name=fsdp: no layout shares out teach"):
        check(run)
