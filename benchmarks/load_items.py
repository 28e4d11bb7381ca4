"""Time `experiments.record.load_items` on many rows: prints seconds, imports of pandas included.

    python benchmarks/load_items.py --rows 10000000

Writes the rows to a temporary folder first: 20 runs with 20 steps each.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from experiments.record import CONFIG, ItemResult, TaskHeader, item_file, load_items, write_items

RUNS, STEPS, CHOICES = 20, 20, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=10_000_000)
    items = parser.parse_args().rows // (RUNS * STEPS * CHOICES)
    results = [
        ItemResult(
            item=f"item/{k}",
            log_probabilities=tuple(-1.0 - 0.1 * c - 1e-6 * k for c in range(CHOICES)),
            unconditional=(-9.5,) * CHOICES,
            bytes=(7,) * CHOICES,
            tokens=(3,) * CHOICES,
            answer=k % CHOICES,
        )
        for k in range(items)
    ]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(RUNS):
            run = Path(folder) / f"{number:012x}"
            run.mkdir()
            (run / CONFIG).write_text("{}")
            header = TaskHeader(run_id=run.name, task="task", step=0, version="v", items=items)
            first = write_items(run, header, results, {})
            for step in range(1, STEPS):
                shutil.copy(first, item_file(run, "task", step))
        start = time.perf_counter()
        rows = load_items(folder)
        print(f"{len(rows):,} rows in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
