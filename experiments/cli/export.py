"""Write a run's whole model as one safetensors file.

It holds the parameters, the config and the tokenizer.

examples:
  windtunnel export runs/quickstart/RUN --to model.safetensors
  windtunnel export runs/wsd_branches/RUN --step 512 --to early.safetensors
"""

from __future__ import annotations

import argparse

from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser
from scaling.common.files import output_file
from scaling.common.quantities import whole
from scaling.common.remote import local


def add(parser: Parser) -> None:
    parser.add_argument("folder", type=local, metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--to", type=output_file, required=True, metavar="FILE", help="the file to write"
    )
    parser.add_argument(
        "--step", type=whole, help="a kept checkpoint (default: the last, of a completed run)"
    )


def run(options: argparse.Namespace) -> Answer:
    from experiments.training import export

    found = export.trained(options.folder, options.step)
    export.write(options.to, found)
    said = "{file}: {run} after {step} steps; windtunnel evaluate {file}"
    yield Line(said, file=str(options.to), run=str(options.folder), step=found.step)
    return 0
