"""Runs of other trackers as one table for `fit`, and their histories as another beside it.

Reads exports, local run folders, event files and databases, with no service and no account. Columns
whose names say a quantity (`n_params`, `eval/loss`) take our name for it; the others keep theirs.

  windtunnel import wandb export.csv --to runs.csv
  windtunnel import tensorboard logs --to runs.parquet
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from scaling.common.answers import Answer, Line, Note, Rows
from scaling.common.errors import UserError
from scaling.common.files import output_file

if TYPE_CHECKING:
    from analysis.tables.importers import Imported

FORMS = (".csv", ".parquet")
SHOWN = 12  # columns that a note lists
NEEDED = ("loss", "params_total", "tokens")  # by the commonest law


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from analysis.tables import importers

    parser.add_argument("tracker", choices=importers.names(), help="the origin of the runs")
    parser.add_argument(
        "path", help="export, run folder, event file or database, or the URL of one"
    )
    parser.add_argument(
        "--to", type=output_file, required=True, metavar="FILE", help="table.csv or table.parquet"
    )


def run(options: argparse.Namespace) -> Answer:
    """Write the table and the histories, and say what was understood."""
    from analysis.tables import importers
    from analysis.tables.importers._write import write

    if options.to.suffix not in FORMS:
        raise UserError(f"--to {options.to}: name a file that ends in {' or '.join(FORMS)}")
    options.progress(f"reading {options.path}")
    found = importers.load(options.tracker, options.path)
    options.progress("writing")
    write(found.runs, options.to, found.provenance)
    yield Line("wrote {table}, {runs} runs of {tracker}", table=str(options.to),
               runs=len(found.runs), tracker=options.tracker)  # fmt: skip
    if len(found.histories):
        histories = options.to.with_suffix(f".history{options.to.suffix}")
        write(found.histories, histories, found.provenance)
        yield Line("wrote {histories}, {rows} steps", histories=str(histories),
                   rows=len(found.histories))  # fmt: skip
    if counted := Counter(word for word in found.runs["status"] if word):
        words = ", ".join(f"{count} {word}" for word, count in counted.items())
        yield Line("status: {statuses}", statuses=words)
    yield Rows("columns", ("taken as", "from"), list(found.taken.items()), left=2)
    yield from _notes(found)
    return 0


def _notes(found: Imported) -> Answer:
    """Quantities that were not found, and columns that keep the tracker's names."""
    absent = [name for name in NEEDED if name not in found.runs.columns]
    if absent:
        yield Note(f"no column says {', '.join(absent)}: name it with an option of `fit`")
    if found.others:
        more = len(found.others) - SHOWN
        rest = f", and {more} more" if more > 0 else ""
        yield Note(f"kept under their own names: {', '.join(found.others[:SHOWN])}{rest}")
    return 0
