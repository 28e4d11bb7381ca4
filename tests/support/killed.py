"""`windtunnel`, of which one process after another is killed in training, a number of times.

python killed.py MARKS KILLS ARGUMENTS...

Each kill leaves a mark in the folder MARKS. In turn process 0, 1, ... kills itself when it fetches
for the sixth time after its start; in every fifth kill its keeper dies with it.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from pathlib import Path

from experiments.__main__ import main
from experiments.training.trainer import _Loop

FETCHES, KEEPERS = 6, 5

if __name__ == "__main__":
    marks, kills, arguments = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    numbers = dict(re.findall(r"--resource=(process|processes)=(\d+)", " ".join(arguments)))
    calls, fetch = itertools.count(1), _Loop._fetch

    def fetch_and_be_killed(self: _Loop) -> None:
        fetch(self)
        if next(calls) != FETCHES:
            return
        before = len(list(marks.iterdir()))
        if before < kills and before % int(numbers["processes"]) == int(numbers["process"]):
            (marks / f"{before}").touch()
            if before % KEEPERS == KEEPERS - 1:
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    _Loop._fetch = fetch_and_be_killed  # type: ignore[method-assign]
    sys.exit(main(arguments))
