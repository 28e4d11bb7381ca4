"""The runs that a command is about: of a study, or of one config, with their layout."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.machines.layout import KINDS

if TYPE_CHECKING:
    from experiments.plan.study import Run


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("study", help="a study's name, the path of its file, or a config.json")
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help=f"auto, single, {', '.join(KINDS)}; the sizes of its axes as --set "
        "execution.layout.tensor=4 (default: the study's own, on several chips auto)",
    )
    parser.add_argument(
        "--set",
        dest="assignments",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a setting of the study (scale=gpu) or a field of every run (model.width=64)",
    )


def runs(options: argparse.Namespace, chips: int) -> Sequence[Run]:
    """Those of the study, or the one of the config, with a layout to choose where there is none."""
    from experiments.config.from_record import read_config
    from experiments.config.overrides import override
    from experiments.plan import study

    def laid_out(run: Run) -> Run:
        if options.layout or chips == 1 or run.config.execution.layout.name != "single":
            return run
        return run.override(["execution.layout.name=auto"])

    named = [f"execution.layout.name={options.layout}"] if options.layout else []
    assignments = [*named, *options.assignments]
    if options.study.endswith(".json"):
        config = override(read_config(Path(options.study)), assignments)
        return [laid_out(study.Run(config, rung=0))]
    return [laid_out(run) for run in study.load(options.study, assignments).runs]
