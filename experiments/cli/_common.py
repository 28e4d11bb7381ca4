"""Arguments that several commands share. Heavy modules are imported when a command runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.common.answers import Line
from scaling.common.files import cache_folder, output_folder
from scaling.common.quantities import count

if TYPE_CHECKING:
    from experiments.plan.study import Study
    from experiments.sweep.sweep import Sweep

NAMED = {
    "study": "a study's name, the path of its file, or the folder or URL of its runs",
    "search": "a search's name, or the path of its file",
}
SETTING = "a setting of the {} (scale=gpu) or a field of every run (model.width=64)"


def add_assignments(parser: argparse.ArgumentParser, text: str) -> None:
    """Declare ``--set NAME=VALUE``, kept as `assignments`."""
    parser.add_argument(
        "--set",
        dest="assignments",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=text,
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache", type=output_folder, default=cache_folder(), help="corpora and programs"
    )


def add_file(parser: argparse.ArgumentParser, kind: str = "study") -> None:
    """Declare a study or a search, its settings, its folder and the cache."""
    parser.add_argument(kind, help=NAMED[kind])
    add_assignments(parser, SETTING.format(kind))
    parser.add_argument(
        "--out", type=output_folder, help="the folder of its runs (default runs/NAME)"
    )
    add_cache(parser)


def add_study_or_config(parser: argparse.ArgumentParser) -> None:
    """Declare the study, or the one run, that `studies.runs` reads."""
    parser.add_argument("study", help=f"{NAMED['study']}, or a config.json")
    add_assignments(parser, SETTING.format("study"))


def add_launcher(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--launcher", default="local", metavar="NAME", help="local (default), group, ray, slurm"
    )
    parser.add_argument(
        "--workers",
        type=count,
        help="runs at once (default: one per core, or one per GPU)",
    )
    parser.add_argument(
        "--resource",
        dest="resources",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="resources of each worker, or settings of the launcher, by the launcher's names",
    )


def on_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def bind(
    options: argparse.Namespace,
    tell: Callable[[str], None] = lambda text: None,
    study: Study | None = None,
) -> Sweep:
    """The study of `add_file`, or a part of it, bound to its corpus and its folder."""
    from experiments import studies
    from experiments.sweep import sweep

    study = study or studies.load(options.study, options.assignments)
    return sweep.bind(study, folder(options, study), options.cache, tell)


def folder(options: argparse.Namespace, study: Study) -> Path:
    """The folder of a study's runs: by --out, of the runs that were named, or runs/NAME."""
    from experiments import studies

    return options.out or studies.named(options.study).folder or Path("runs") / study.name


def facts(study: Study) -> Iterator[Line]:
    """A line for each field that follows a hyperparameter law, and for each note."""
    from experiments.plan import law_settings
    from experiments.plan.notes import notes

    for text in law_settings.summary(given for run in study.runs for given in run.given):
        yield Line("{field}", "laws", field=text)
    for text in notes(study):
        yield Line("note: {note}", "notes", note=text)
