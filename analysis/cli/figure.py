"""Draw a published figure again and print its numbers beside ours.

Writes PNG and SVG from the released data, found by WINDTUNNEL_DATA, in the cache, or downloaded, a
caption as text, and the numbers as CSV. --width scales it to a column or a page of a paper, --pdf
adds a PDF. Exit status 1: a number differs by more than its tolerance.

  windtunnel figure  # the list
  windtunnel figure chinchilla_refit
  windtunnel figure evo_isoflop --width page --pdf
  windtunnel figure --all
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from scaling.common.answers import Answer, Line, Rows, Shown
from scaling.common.errors import UserError
from scaling.common.files import output_folder


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", help="name of the figure")
    parser.add_argument("--all", action="store_true", help="every figure")
    parser.add_argument("--width", choices=("column", "page"), help="of a paper (default: its own)")
    parser.add_argument("--pdf", action="store_true", help="write a PDF, too")
    parser.add_argument(
        "--out", type=output_folder, default="runs/figures", help="folder (default: runs/figures)"
    )


def run(options: argparse.Namespace) -> Answer:
    """Draw and print; the worst of the figures decides the exit status."""
    from analysis import figures

    if options.all:
        return (yield from _all(options))
    if options.name is None:
        rows = [(name, figures.about(name)) for name in figures.names()]
        yield Rows("figures", ("figure", "about"), rows, left=2)
        return 0
    return (yield from _draw(options.name, options))


def _all(options: argparse.Namespace) -> Answer:
    """Draw all: an error is told, and the next figure is drawn."""
    from analysis import figures

    worst = 0
    for name in figures.names():
        try:
            code = yield from _draw(name, options)
        except UserError as error:
            yield Line("error: {error}\n", "errors", error=str(error))
            code = 2
        worst = max(worst, code)
    return worst


def _draw(name: str, options: argparse.Namespace) -> Answer:
    import pandas as pd

    from analysis import figures
    from analysis.plotting.style import house_style, letter, save
    from analysis.plotting.widths import to_width

    options.progress(f"drawing {name}")
    made, out = figures.reproduce(name), options.out
    with house_style():
        letter(made.figure)
        if options.width:
            to_width(made.figure, options.width)
    save(made.figure, out, name)
    if options.pdf:
        made.figure.savefig(out / f"{name}.pdf", metadata={"CreationDate": None})
    caption = (made.title, made.source, *made.notes)
    (out / f"{name}.txt").write_text("\n".join(caption) + "\n", encoding="utf-8")
    rows = [
        {**asdict(row), "difference": row.difference, "verdict": row.verdict} for row in made.rows
    ]
    pd.DataFrame(rows).to_csv(out / f"{name}.csv", index=False)
    yield Line(
        "{title}\n{source}\n\n{rows}\n{notes}wrote {figure}.png, .svg, .csv and .txt\n",
        "drawn",
        name=name,
        title=made.title,
        source=made.source,
        rows=Shown(rows, figures.table_text(made.rows)),
        notes=Shown(made.notes, "".join(f"note: {note}\n" for note in made.notes)),
        figure=str(out / name),
    )
    return 1 if any(row.verdict == "DIFFERS" for row in made.rows) else 0
