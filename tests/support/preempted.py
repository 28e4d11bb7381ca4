"""`windtunnel`, to which a signal is sent when it fetches its second dispatch.

python preempted.py SIGNAL ARGUMENTS...
"""

from __future__ import annotations

import itertools
import os
import signal
import sys

from experiments.__main__ import main
from experiments.training.trainer import _Loop

if __name__ == "__main__":
    number, calls, fetch = signal.Signals[sys.argv[1]], itertools.count(1), _Loop._fetch

    def fetch_and_be_preempted(self: _Loop) -> None:
        fetch(self)
        if next(calls) == 2:
            os.kill(os.getpid(), number)

    _Loop._fetch = fetch_and_be_preempted  # type: ignore[method-assign]
    sys.exit(main(sys.argv[2:]))
