"""Write the figures, fit.json and report.html of a study, or of a table of runs.

A study's lie in its folder, those of a table in the folder of --to. The last line printed is the
prediction beside the measurement.

  windtunnel report runs/quickstart
  windtunnel report table.csv --params n --tokens d --holdout 'flops_6nd>1e20'
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.cli._table_options import add_columns, add_source, law_named, read
from experiments.record import STUDY, reading_folder
from scaling.common.answers import Answer, Line, Note, Shown
from scaling.common.errors import UserError
from scaling.common.files import output_folder
from scaling.common.remote import is_url

if TYPE_CHECKING:
    from analysis.tables.study import StudyRecords

OF_TABLES = ("law", "where", "loss", "params", "tokens", "holdout", "label", "to")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, "law of a table's rows (default: chinchilla)")
    add_columns(parser)
    parser.add_argument("--holdout", metavar="ROWS", help="rows of a table to predict, not to fit")
    parser.add_argument("--label", metavar="COLUMN", help="a fit for each of its values, compared")
    parser.add_argument(
        "--to",
        type=output_folder,
        metavar="FOLDER",
        help="folder of the report of a table, or of a study at a URL (default: NAME_report)",
    )


def run(options: argparse.Namespace) -> Answer:
    """Write the report; the last line is the prediction beside the measurement."""
    from analysis.report.report import PAGE, write_page

    study, folder = _records(options)
    evidence = write_page(study, options.progress, folder)
    yield from map(Note, evidence.missing)
    for table in evidence.tables:
        yield Line("\n{table}\n", "tables", table=Shown(asdict(table), str(table)))
    yield Line("wrote {page}", page=str(folder / PAGE))
    yield Line("{sentence}", sentence=evidence.sentence)
    return 0


def _records(options: argparse.Namespace) -> tuple[StudyRecords, Path]:
    """The study at the path, or the table there as one, and the folder of its report."""
    from analysis.report.table import as_study
    from analysis.tables.study import load_study

    folder, is_remote = reading_folder(options.path), is_url(options.path)
    named = options.to or f"{Path(options.path).name.partition('.')[0]}_report"
    if (folder / STUDY).exists():
        for name in OF_TABLES:
            if getattr(options, name) is not None and not (is_remote and name == "to"):
                raise UserError(f"report {options.path}: a study says this itself; leave --{name}")
        options.progress("reading the runs")
        study = load_study(folder)
        if is_remote:  # its page names the URL, not the copy
            study = replace(study, command=_command(options))
        return study, output_folder(named if is_remote else folder)
    source, to = read(options.path, options), output_folder(named)
    study = as_study(
        source.table,
        law_named(options.law or source.law, {}),
        to,
        options.path,
        {"params": options.params, "tokens": options.tokens},
        source.loss,
        options.holdout,
        options.label,
        _command(options),
    )
    return study, to


def _command(options: argparse.Namespace) -> str:
    """The command as it was given."""
    given = [(f"--{name}", getattr(options, name)) for name in OF_TABLES]
    words = ["windtunnel", "report", options.path]
    words += [str(word) for pair in given if pair[1] is not None for word in pair]
    return shlex.join(words)
