"""Write the parameters of a completed run, with its config, as a safetensors file.

example:
  python -m experiments export runs/quickstart/RUN --to model.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="the file to write")


def run(options: argparse.Namespace) -> int:
    from experiments.training import export

    config, params = export.finished(options.folder)
    export.write(options.to, config, params)
    again = f"python -m experiments evaluate {options.to}"
    print(f"{options.to}: the parameters of {options.folder}; {again}")
    return 0
