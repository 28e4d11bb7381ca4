"""The bytes of layouts beside XLA's: the tests of `layout_bytes.py`, on eight fake devices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from test_devices import FLAGS, ROOT


def test_bytes_on_eight_devices() -> None:
    file = Path(__file__).with_name("layout_bytes.py")
    command = [sys.executable, "-m", "pytest", "-q", str(file)]
    environment = {**os.environ, "XLA_FLAGS": FLAGS, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
