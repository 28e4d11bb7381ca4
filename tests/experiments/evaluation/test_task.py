"""A task is one file: dropped into a folder, it is asked of a run and lands in its record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
from plugged import plugged

from experiments import record
from experiments.data import Corpora
from experiments.evaluation import task
from experiments.training.hypers import hypers
from experiments.training.populations.programs import programs
from experiments.training.populations.trained import Trained
from experiments.training.step import recipe
from experiments.training.trainer import train
from scaling.common.errors import UserError

WORDS = '''
"""Likelier continuations of English than of noise."""

from experiments.evaluation.choices import Item, score


def evaluate(model, mixture, science):
    items = [Item("wind", "the ", ("wind", "qzxj"), 0), Item("law", "a ", ("xxx", "law"), 1)]
    return score(model, items, mixture.corpora[0].tokenizer, science.batch.seq_len)
'''


@pytest.fixture
def words(tmp_path: Path) -> Iterator[None]:
    with plugged(tmp_path / "mine", {"experiments.evaluation.tasks.words": WORDS}):
        yield


def test_a_dropped_task_is_in_the_record(tmp_path, texts, cache, words) -> None:
    job = tiny.job(tmp_path, "evaluation.tasks=words", "evaluation.times=2", texts=texts)
    assert train(job, Corpora(cache)) is record.Status.COMPLETED
    summary = record.read(job.folder, record.RunSummary)
    assert set(summary.metrics.evaluations) == {
        "words.accuracy",
        "words.accuracy_per_byte",
        "words.accuracy_per_token",
        "words.loss_per_byte",
    }
    rows = list(record.read_rows(job.folder / record.METRICS))
    validated = {row.step: row.metrics for row in rows if "valid_loss" in row.metrics}
    assert list(validated) == [32, 50]
    assert validated[50] == {"valid_loss": summary.metrics.loss, **summary.metrics.evaluations}
    assert validated[32]["words.loss_per_byte"] > validated[50]["words.loss_per_byte"]
    items = list(record.read_items(job.folder / record.EVALUATIONS / "words.jsonl"))
    assert [(row.step, row.item) for row in items] == [
        (32, "wind"),
        (32, "law"),
        (50, "wind"),
        (50, "law"),
    ]


def test_scores_agree_with_the_loss(texts, cache) -> None:
    config = tiny.config(texts=texts)
    made, science = recipe(config), config.science
    windows = np.random.default_rng(0).integers(0, 256, (7, science.batch.seq_len + 1))
    compiled = programs(made)
    model = Trained(compiled, compiled.init(hypers(science)), made.microbatch, made)
    found = model.log_probabilities(windows, np.ones((7, science.batch.seq_len), bool))
    assert -found.mean() / science.batch.seq_len == pytest.approx(model.loss(windows), rel=1e-5)
    some = np.zeros((7, science.batch.seq_len), bool)
    some[:, :5] = True
    early = model.log_probabilities(windows, some)
    windows[:, 6:] = 0  # what comes after the scored tokens does not count
    assert model.log_probabilities(windows, some) == pytest.approx(early, rel=1e-5)


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(
        UserError, match=r"evaluation\.tasks 'validaton': did you mean 'validation'"
    ):
        task.task("validaton")


def test_a_model_without_a_finite_loss_is_asked_no_other_task(monkeypatch) -> None:
    nothing = task.Evaluation({"loss": float("nan")})
    monkeypatch.setattr(task, "task", lambda name: {"validation": lambda *_: nothing}[name])
    assert task.evaluate(("words",), None, None, None) == {"validation": nothing}
