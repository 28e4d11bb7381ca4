"""Time `analysis.load_runs` on many records: prints seconds, imports of pandas included.

    python benchmarks/load_runs.py --records 10000

Writes the records to a temporary folder first (about 30 MB on disk for 10,000).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from experiments import record
from experiments.record import Environment, Measured, RunSummary
from scaling.common.files import plain


def summary(number: int) -> RunSummary:
    """A summary with the fields of a real run's."""
    return RunSummary(
        run_id=f"{number:012x}",
        study="benchmark",
        part=record.StudyPart.FIT,
        rung=number % 7,
        status=record.Status.COMPLETED,
        science={
            "model": {f"field_{at}": at for at in range(18)},
            "parametrization": {"name": "mup", "base_width": 64},
            "optimizer": {"name": "adamw", "learning_rate": 0.01, "beta1": 0.9, "beta2": 0.95},
            "schedule": {"name": "linear", "warmup": 0.05, "final": 0.05},
            "batch": {"sequences": 4, "seq_len": 128},
            "budget": {"tokens": 1000 * number},
            "data": {"source": "stdlib", "fingerprint": "0123", "tokenizer": "byte", "epochs": 1},
            "precision": "float32",
            "evaluation": {"sequences": 1024},
            "seed": number,
        },
        execution={"workers": 1},
        accounting={f"count_{at}": number / (at + 1) for at in range(14)},
        metrics=Measured(loss=2.0, loss_per_byte=1.0, steps=number, tokens_per_second=1e5),
        environment=Environment(cpus=2, python="3.11", jax="0.10", code="0", device="cpu"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=10_000)
    count = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            made = summary(number)
            run = Path(folder) / made.run_id
            run.mkdir()
            text = json.dumps(plain(made), indent=1)
            (run / record.SUMMARY).write_text(text)  # not synced to disk, for speed
        start = time.perf_counter()
        from analysis import load_runs

        first = time.perf_counter()
        table = load_runs(folder)
        end = time.perf_counter()
        load_runs(folder)
        again = time.perf_counter()
    print(
        f"{len(table)} records, {len(table.columns)} columns: {end - start:.2f} s "
        f"({first - start:.2f} s of imports), again {again - end:.2f} s"
    )


if __name__ == "__main__":
    main()
