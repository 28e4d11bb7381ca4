"""The figure of a command: drawn where `--plot` asks for it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scaling.common.answers import AnswerPart, Line
from scaling.common.files import output_file


def add_plot(parser: Any, shows: str) -> None:
    """Declare --plot."""
    parser.add_argument(
        "--plot", type=output_file, metavar="FILE", help=f"draw {shows}, as FILE.png and FILE.svg"
    )


def plot(options: argparse.Namespace, draw: Callable[[], Any]) -> Iterator[AnswerPart]:
    """Draw and save under --plot."""
    from analysis.plotting.style import save

    if options.plot is not None:
        options.progress("drawing")
        file: Path = options.plot.with_suffix("")
        save(draw(), file.parent, file.name)
        yield Line("wrote {figure}.png and .svg", figure=str(file))
