from __future__ import annotations

import subprocess
import sys

from paths import ROOT, SUPPORT

SCRIPT = """
import sys
from pathlib import Path
from experiments.devices.machine import use_compilation_cache
use_compilation_cache(Path(sys.argv[1]))
import jax
hits = []
jax.monitoring.register_event_listener(
    lambda event, **_: hits.append(event) if event.endswith("cache_hits") else None
)
import tiny
from experiments.training.hypers import hypers
from experiments.training.step import recipe
from experiments.training.populations.programs import programs
jax.block_until_ready(programs(recipe(tiny.config())).init(hypers(tiny.config().science)))
print(len(hits), len(list(Path(sys.argv[1], "xla").glob("*-cache"))))
"""


def test_second_process_takes_every_program_from_the_cache(tmp_path):
    paths = [str(ROOT), str(SUPPORT)]
    script = f"import sys; sys.path[:0] = {paths!r}\n{SCRIPT}"
    counts = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]
    (first_hits, stored), (hits, stored_again) = counts
    assert first_hits == "0"
    assert int(stored) > 0
    assert (hits, stored_again) == (stored, stored)
