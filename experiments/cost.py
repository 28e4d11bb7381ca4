"""What a run will cost, told before it is trained and without opening a device.

Memory is an estimate (`scaling.memory`); time is only told where the same program was timed before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments import record, throughput
from experiments.config import RunConfig, to_dict
from experiments.packing import signature
from experiments.platforms import resolve
from experiments.record import Status
from experiments.study import Run
from experiments.worker import Bench
from scaling import memory as scaling_memory
from scaling.memory import Step

COMPUTE_BYTES = {"float32": 4, "bfloat16": 2}

Rates = Mapping[RunConfig, float]  # signature: tokens per second of all members together


def memory(config: RunConfig, members: int, platform: str) -> dict[str, int]:
    """Bytes on one device of a pack of so many such runs on it, term by term."""
    science, execution = config.science, resolve(config, platform)
    assert execution.program.backward != "auto"
    step = Step(
        sequences=science.batch.sequences,
        microbatch=execution.microbatch,
        steps=execution.steps_per_dispatch,
        compute_bytes=COMPUTE_BYTES[science.precision],
        backward=execution.program.backward,
        remat=execution.program.remat,
    )
    return scaling_memory.memory(science.model.dims(science.batch.seq_len), step, members)


def rates(runs: Sequence[Run], folder: Path) -> Rates:
    """What the completed runs of a study came to, compilation and validation included."""
    found: dict[RunConfig, float] = {}
    for run in runs:
        path = folder / run.run_id
        if record.run_status(path) is not Status.COMPLETED:
            continue
        summary = record.read_json(path / record.SUMMARY)
        if summary["execution"] == to_dict(run.config.execution):
            kind = signature(run.config)
            rate = summary["metrics"]["tokens_per_second"] * summary["environment"]["members"]
            found[kind] = max(rate, found[kind]) if kind in found else rate
    return found


def worker_seconds(config: RunConfig, members: int, bench: Bench, known: Rates) -> float | None:
    """The time of one worker, with all its devices, that a run takes as one of so many members.

    From the throughput that was measured of its program, or else from `known` rates; None: unknown.
    """
    science, kind = config.science, signature(config)
    curve = throughput.kept(kind, bench)
    if curve and members in curve:
        return science.steps * curve[members] / members
    return science.tokens / known[kind] if kind in known else None
