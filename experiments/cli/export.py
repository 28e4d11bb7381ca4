"""Write the parameters of a completed run, with its config, as a safetensors file.

example:
  python -m experiments export runs/quickstart/RUN --to model.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser
from scaling.common.files import output_file


def add(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--to", type=output_file, required=True, metavar="FILE", help="the file to write"
    )


def run(options: argparse.Namespace) -> Answer:
    from experiments.training import export

    config, params = export.finished(options.folder)
    export.write(options.to, config, params)
    said = "{file}: the parameters of {run}; python -m experiments evaluate {file}"
    yield Line(said, file=str(options.to), run=str(options.folder))
    return 0
