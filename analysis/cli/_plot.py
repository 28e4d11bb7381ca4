"""The figure of a command: drawn where `--plot` asks for it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_plot(parser: Any, shows: str) -> None:
    """Declare --plot."""
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help=f"draw {shows}, as FILE.png and FILE.svg"
    )


def plot(options: argparse.Namespace, draw: Callable[[], Any]) -> None:
    """Draw and save under --plot."""
    from analysis.plotting.style import save

    if options.plot is not None:
        file: Path = options.plot.with_suffix("")
        save(draw(), file.parent, file.name)
        print(f"wrote {file}.png and .svg")
