"""Show the status of each run of a study.

Beside it stand the fields in which the runs differ, the share that is done, and the last losses. A
run under way whose learning curve leaves the band of its finished siblings' is named.

examples:
  windtunnel status quickstart
  windtunnel status quickstart --watch
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.cli import _common as common
from experiments.cli._run_table import run_table
from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser
from scaling.common.quantities import positive

if TYPE_CHECKING:
    from experiments.sweep.sweep import Standing, Sweep


def add(parser: Parser) -> None:
    common.add_file(parser)
    parser.add_argument(
        "--watch",
        type=positive,
        nargs="?",
        const=5.0,
        metavar="SECONDS",
        help="look again after so many (default 5), until all runs are finished or no process "
        "prepares or trains them",
    )


def run(options: argparse.Namespace) -> Answer:
    from experiments.sweep.collapse import alarms

    options.progress("reading the records")
    sweep = common.bind(options)
    if options.watch:
        options.progress.stop()
        _watch(sweep, options.watch)
    standings = sweep.standings()
    yield from run_table(sweep, sweep.study.runs, standings)
    for text in (*sweep.remarks(standings), *alarms(sweep, standings)):
        yield Line("{remark}", "remarks", remark=text)
    return 0


def _watch(sweep: Sweep, seconds: float) -> None:
    """Redraw the table while a live process has runs to train; without a terminal, only wait."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        while _is_awaited(sweep, standings := sweep.standings()):
            parts = map(str, run_table(sweep, sweep.study.runs, standings))
            live.update(Text("\n".join(parts)), refresh=True)
            time.sleep(seconds)


def _is_awaited(sweep: Sweep, standings: Mapping[str, Standing]) -> bool:
    """Tell if runs are left, and a live process trains them or prepares to."""
    from experiments.sweep.sweep import Standing
    from experiments.sweep.under_way import is_under_way

    if all(each.is_finished for each in standings.values()):
        return False
    return Standing.RUNNING in standings.values() or is_under_way(sweep.folder, sweep.cache)
