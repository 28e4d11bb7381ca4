"""The runs that a command is about: of a study, or of one config, with their layout."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.cli import _common as common
from scaling.machines.layout import KINDS

if TYPE_CHECKING:
    from experiments.plan.run import Run


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    common.add_study_or_config(parser)
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help=f"auto, single, {', '.join(KINDS)}; the sizes of its axes as --set "
        "execution.layout.tensor=4 (default: the study's own, on several chips auto)",
    )


def runs(options: argparse.Namespace, chips: int) -> Sequence[Run]:
    """The runs of the study or config; on several chips a single layout becomes auto."""
    from experiments import studies

    def laid_out(run: Run) -> Run:
        if options.layout or chips == 1 or run.config.execution.layout.name != "single":
            return run
        return run.override(["execution.layout.name=auto"])

    named = [f"execution.layout.name={options.layout}"] if options.layout else []
    return [laid_out(run) for run in studies.runs(options.study, [*named, *options.assignments])]
