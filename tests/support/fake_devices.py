"""A file of tests in a process of its own, on eight fake devices of the CPU."""

from __future__ import annotations

import os
import subprocess
import sys

from paths import ROOT, SUPPORT

DEVICES = 8
# compiled for a quick compilation, as by quick.py
FLAGS = f"--xla_force_host_platform_device_count={DEVICES} --xla_backend_optimization_level=0"


def run(name: str, *options: str) -> None:
    """Every test of the file beside this one passes."""
    file = str(ROOT / "tests/invariance" / name)
    command = [sys.executable, "-m", "pytest", "-q", file, *options]
    paths = os.pathsep.join((str(ROOT), str(SUPPORT)))
    environment = {**os.environ, "XLA_FLAGS": FLAGS, "PYTHONPATH": paths}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
