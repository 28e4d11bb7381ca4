"""One door to the rooms from Python: `import windtunnel as wt`, then `wt.fit`, `wt.run`, ...

Its names are those of `analysis` and `experiments`. Each is loaded when it is first used, so that
the door costs nothing; no room imports it.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # `python -m windtunnel` is the command of that name
    if sys.path[0] == str(Path.cwd()) != str(Path(__file__).resolve().parent):
        del sys.path[0]  # as for the script, so that a user's own models/ does no harm
    from scaling.common.console import main

    raise SystemExit(main())

from scaling.common.packages import check_packages

check_packages("analysis", "experiments")

import analysis  # noqa: E402  # after the check that it is ours
import experiments  # noqa: E402

if TYPE_CHECKING:
    from analysis import *  # noqa: F403
    from experiments import *  # noqa: F403

_HOMES = {name: room.__name__ for room in (analysis, experiments) for name in room.__all__}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'windtunnel' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
