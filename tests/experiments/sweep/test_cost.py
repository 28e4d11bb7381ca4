from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import records
import tiny
from paths import ROOT

from experiments import record
from experiments.config.fields import to_dict
from experiments.config.identity import identity
from experiments.config.overrides import override
from experiments.config.run import Science
from experiments.devices import machine
from experiments.devices.slot import Slot
from experiments.launchers import Site
from experiments.launchers.local import Local
from experiments.plan import run as run_file
from experiments.plan.run import Continued, Run
from experiments.record import Status
from experiments.sweep import cost
from experiments.training.populations import throughput
from experiments.training.populations.grouping import signature
from scaling.common.files import write_json

CONFIG = tiny.config()


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    return Slot(tmp_path / "cache", tmp_path / "workers.log", core=None)


def finish(run: Run, folder: Path, rate: float, members: int, status=Status.COMPLETED) -> None:
    """Write a summary with this rate."""
    summary = records.run_summary(
        run.run_id,
        status,
        {"tokens_per_second": rate},
        execution=to_dict(run.config.execution),
        environment=msgspec.structs.replace(records.ENVIRONMENT, members=members),
    )
    record.write(folder / run.run_id, summary)


def test_time_is_that_of_the_measured_population(slot) -> None:
    kept = throughput.Kept(4, 1, {1: 0.1, 2: 0.12, 4: 0.2})
    write_json(throughput._path(signature(CONFIG), slot), kept)
    kind = signature(override(CONFIG, ["budget.tokens=6400", "optimizer.learning_rate=0.1"]))
    seconds = [cost.seconds_per_step(kind, members, slot, {}) for members in (1, 2, 4, 8)]
    assert seconds == [*map(pytest.approx, (0.1, 0.06, 0.05)), None]
    other = signature(override(CONFIG, ["model.ffn=64"]))
    assert cost.seconds_per_step(other, 1, slot, {}) is None


def test_time_is_else_that_of_finished_runs_like_it(slot, tmp_path) -> None:
    faster, slower, diverged, wider, missing = (
        Run(override(CONFIG, [text]), 0)
        for text in ("seed=1", "seed=2", "seed=3", "model.ffn=64", "seed=4")
    )
    finish(slower, tmp_path, 100.0, members=1)
    finish(faster, tmp_path, 50.0, members=4)
    finish(diverged, tmp_path, 9999.0, members=1, status=Status.DIVERGED)
    known = cost.rates([slower, faster, diverged, wider, missing], tmp_path)
    assert known == {signature(CONFIG): 200.0}
    told = [
        cost.seconds_per_step(signature(run.config), 4, slot, known) for run in (missing, wider)
    ]
    assert told == [pytest.approx(64 / 200), None]


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
    half = override(long, ["precision=bfloat16", "execution.program.attention=xla"])
    assert 2 * cost.memory(half, 1, "gpu")["activations"] == gpu["activations"]


def test_nothing_opens_a_device() -> None:
    code = "import experiments.sweep.cost, sys; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path / "cache", tmp_path / "study")


@pytest.fixture
def runs() -> list[Run]:
    rates = [f"optimizer.learning_rate={1 + k}e-3" for k in range(8)]
    return [Run(override(CONFIG, [rate]), 0) for rate in rates]


def told(runs, site, places=1):
    found = cost.forecast(runs, "tiny", Local(places), site)
    return {(one.members, one.seconds) for one in found.values()}


def test_forecast_is_of_the_populations_that_the_sweep_would_make(runs, site, monkeypatch) -> None:
    monkeypatch.setattr(machine, "platform", lambda: "cpu")
    assert told(runs, site) == {(None, None)}  # enough runs to measure the device first
    assert told(runs[:3], site) == {(1, None)}
    kept = throughput.Kept(8, 1, {1: 0.1, 2: 0.12, 4: 0.4})
    slot = Local(1).slot(site)
    write_json(throughput._path(signature(CONFIG), slot), kept)
    assert told(runs, site) == {(2, 50 * 0.06)}
    found = cost.forecast(runs, "tiny", Local(1), site)[runs[0].run_id]
    assert found.bytes == sum(cost.memory(CONFIG, 2, "cpu").values())
    alone = [Run(override(run.config, ["execution.runs_per_program=1"]), 0) for run in runs]
    assert told(alone, site) == {(1, None)}


def test_a_branch_costs_what_it_trains_itself(runs, site) -> None:
    first, second = runs[:2]
    finish(first, site.folder, 100.0, members=1)
    branch = replace(second, beginning=Continued(first, 40))
    costs = cost.forecast([first, branch], "tiny", Local(1), site)
    whole, part = (costs[run.run_id].seconds for run in (first, branch))
    assert whole == pytest.approx(50 * 64 / 100)
    assert part == pytest.approx(whole / 5)


def test_a_plan_hashes_each_run_once(runs, site, monkeypatch) -> None:
    """A plan asks for the identity, the status and the forecast of every run, some many times."""
    hashed: list[Science] = []

    def counted(science: Science) -> str:
        hashed.append(science)
        return identity(science)

    monkeypatch.setattr(run_file, "identity", counted)
    for _ in range(3):
        cost.forecast(runs, "tiny", Local(1), site)
    assert len(hashed) == len(runs)
