from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from experiments import cost, record, throughput
from experiments.config import to_dict
from experiments.overrides import override
from experiments.packing import signature
from experiments.record import Status
from experiments.study import Run
from experiments.worker import Bench

CONFIG = tiny.config()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(CONFIG.science.data, tmp_path / "cache", tmp_path / "workers.log", core=None)


def finish(run: Run, folder: Path, rate: float, members: int, status=Status.COMPLETED) -> None:
    """A summary as far as it matters here."""
    summary = {
        "status": status,
        "execution": to_dict(run.config.execution),
        "metrics": {"tokens_per_second": rate},
        "environment": {"members": members},
    }
    record.write_json(folder / run.run_id / record.SUMMARY, summary)


def test_time_is_that_of_the_measured_pack(bench) -> None:
    kept = {"most": 4, "devices": 1, "seconds": {1: 0.1, 2: 0.12, 4: 0.2}}
    record.write_json(throughput._path(signature(CONFIG), bench), kept)
    seconds = [cost.worker_seconds(CONFIG, members, bench, {}) for members in (1, 2, 4, 8)]
    assert seconds == [*map(pytest.approx, (50 * 0.1, 50 * 0.06, 50 * 0.05)), None]
    longer = override(CONFIG, ["budget.tokens=6400", "optimizer.learning_rate=0.1"])
    assert cost.worker_seconds(longer, 1, bench, {}) == pytest.approx(100 * 0.1)
    other = override(CONFIG, ["model.ffn=64"])
    assert cost.worker_seconds(other, 1, bench, {}) is None


def test_time_is_else_that_of_finished_runs_like_it(bench, tmp_path) -> None:
    faster, slower, diverged, wider, missing = (
        Run(override(CONFIG, [text]), 0)
        for text in ("seed=1", "seed=2", "seed=3", "model.ffn=64", "seed=4")
    )
    finish(slower, tmp_path, 100.0, members=1)
    finish(faster, tmp_path, 50.0, members=4)
    finish(diverged, tmp_path, 9999.0, members=1, status=Status.DIVERGED)
    known = cost.rates([slower, faster, diverged, wider, missing], tmp_path)
    assert known == {signature(CONFIG): 200.0}
    assert cost.worker_seconds(missing.config, 4, bench, known) == pytest.approx(50 * 64 / 200)
    assert cost.worker_seconds(wider.config, 4, bench, known) is None


def test_runs_of_another_execution_tell_nothing(tmp_path) -> None:
    run = Run(override(CONFIG, ["execution.microbatch=1"]), 0)
    finish(run, tmp_path, 100.0, members=1)
    assert cost.rates([Run(CONFIG, 0)], tmp_path) == {}


def test_memory_is_of_the_program_that_the_platform_gets() -> None:
    long = override(CONFIG, ["batch.seq_len=256"])
    cpu, gpu = (cost.memory(long, 1, platform) for platform in ("cpu", "gpu"))
    assert cpu["accumulator"] == cpu["params"]  # one sequence at a time
    assert gpu["accumulator"] == 0
    assert gpu["logits"] == 4 * cpu["logits"]
    assert gpu["activations"] > 4 * cpu["activations"]
    half = override(long, ["precision=bfloat16"])
    assert 2 * cost.memory(half, 1, "gpu")["activations"] == gpu["activations"]


def test_nothing_opens_a_device() -> None:
    code = "import experiments.cost, sys; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
