"""Draw a published figure again and print its numbers beside ours.

Writes PNG and SVG from the released data, found by WINDTUNNEL_DATA, in the cache, or downloaded.
Exit status 1: a number differs by more than its tolerance.

  python -m analysis figure                     # the list
  python -m analysis figure chinchilla_refit
  python -m analysis figure --all
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from analysis.cli._progress import progress
from scaling.common.errors import UserError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", help="name of the figure")
    parser.add_argument("--all", action="store_true", help="every figure")
    parser.add_argument("--out", default="runs/figures", help="folder (default: runs/figures)")


def run(options: argparse.Namespace) -> int:
    """Draw and print; the worst of the figures decides the exit status."""
    from analysis import figures

    if options.all:
        return max(_guarded(name, Path(options.out)) for name in figures.names())
    if options.name is None:
        width = max(len(name) for name in figures.names())
        for name in figures.names():
            print(f"{name:<{width}}  {figures.about(name)}")
        return 0
    return _draw(options.name, Path(options.out))


def _guarded(name: str, out: Path) -> int:
    """Draw one of many: an error is printed, and the next figure is drawn."""
    try:
        return _draw(name, out)
    except UserError as error:
        print(f"error: {error}\n", file=sys.stderr)
        return 2


def _draw(name: str, out: Path) -> int:
    from analysis import figures
    from analysis.plotting.style import save

    with progress(f"drawing {name}"):
        made = figures.reproduce(name)
    save(made.figure, out, name)
    print(f"{made.title}\n{made.source}\n\n{figures.table_text(made.rows)}")
    for note in made.notes:
        print(f"note: {note}")
    print(f"wrote {out / name}.png and .svg\n")
    return 1 if any(row.verdict == "DIFFERS" for row in made.rows) else 0
