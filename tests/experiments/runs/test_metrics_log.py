from __future__ import annotations

import math

import numpy as np
import pytest
import records

from experiments import record
from experiments.runs.metrics_log import MetricsLog

ROWS = [
    records.training(4, 3.0, 10.0),
    records.validation(4, 3.5),
    records.training(8, 2.0, 20.0),
    records.validation(8, 2.5),
]


def values(loss: float, count: int = 4, **others: float) -> dict[str, np.ndarray]:
    return {name: np.full(count, value) for name, value in {"loss": loss, **others}.items()}


def test_row_holds_means_over_the_dispatch(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", first_step=0)
    log.row(2, 64, 2, {"loss": np.array([3.0, 1.0]), "learning_rate": np.array([0.2, 0.4])})
    (row,) = record.read_rows(tmp_path / "metrics.jsonl")
    assert row.seconds > 0
    assert (row.step, row.tokens) == (2, 128)
    assert row.metrics == {"loss": 2.0, "learning_rate": pytest.approx(0.3)}
    assert (log.tokens, log.train_loss) == (128, 2.0)


def test_other_metric_that_is_not_finite_is_null(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", first_step=0)
    log.row(4, 64, 4, values(2.0, grad_norm=math.inf))
    (row,) = record.read_rows(tmp_path / "metrics.jsonl")
    assert row.metrics == {"loss": 2.0, "grad_norm": None}


def test_rows_beyond_the_checkpoint_are_cut_and_time_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    record.append_rows(path, ROWS)
    with path.open("a") as file:
        file.write('{"step": 12, "lo')
    log = MetricsLog(path, first_step=4)
    assert list(record.read_rows(path)) == ROWS[:2]
    assert (log.tokens, log.train_loss) == (256, 3.0)
    assert 10 < log.seconds < 11
    log.row(8, 64, 4, values(2.0))
    assert [row.step for row in record.read_rows(path)] == [4, 4, 8]


def test_validation_of_the_last_step_is_cut_for_it_is_repeated(tmp_path):
    path = tmp_path / "metrics.jsonl"
    record.append_rows(path, ROWS)
    log = MetricsLog(path, first_step=8, last=8)
    log.evaluation(8, 64, {"valid_loss": 2.5})
    assert list(record.read_rows(path)) == ROWS


def test_mean_of_great_numbers_may_overflow(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", first_step=0)
    great = np.full(4, 3e38, np.float32)
    log.row(4, 64, 4, {"loss": great, "grad_norm": great})
    (row,) = record.read_rows(tmp_path / "metrics.jsonl")
    assert row.metrics == {"loss": None, "grad_norm": None}
    assert math.isnan(log.train_loss)


def test_first_rate_is_unknown_since_it_holds_the_compilation(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", first_step=0)
    assert math.isnan(log.row(4, 64, 4, values(2.0)))
    assert log.first_dispatch_seconds > 0
    first = log.first_dispatch_seconds
    assert log.row(8, 64, 4, values(2.0)) > 0
    assert log.first_dispatch_seconds == first


def test_evaluation_is_a_row_of_its_own(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", first_step=0)
    log.evaluation(8, 64, {"valid_loss": 1.25})
    rows = list(record.read_rows(tmp_path / "metrics.jsonl"))
    assert rows == [records.validation(8, 1.25)]
