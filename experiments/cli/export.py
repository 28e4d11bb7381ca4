"""Write a run's whole model as one safetensors file, or as a folder that transformers reads.

The file holds the parameters, the config and the tokenizer. The folder is a Llama's, of the same
logits; a run of another architecture is refused by its field.

examples:
  windtunnel export runs/quickstart/RUN --to model.safetensors
  windtunnel export runs/mine/RUN --llama llama
  windtunnel export runs/wsd_branches/RUN --step 512 --to early.safetensors
"""

from __future__ import annotations

import argparse

from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser
from scaling.common.files import output_file, output_folder
from scaling.common.quantities import whole
from scaling.common.remote import local


def add(parser: Parser) -> None:
    parser.add_argument("folder", type=local, metavar="RUN", help="a run's folder")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--to", type=output_file, metavar="FILE", help="the file to write")
    form.add_argument("--llama", type=output_folder, metavar="FOLDER", help="the folder to write")
    parser.add_argument(
        "--step", type=whole, help="a kept checkpoint (default: the last, of a completed run)"
    )


def run(options: argparse.Namespace) -> Answer:
    from experiments.training.exports import llama, single_file

    found = single_file.trained(options.folder, options.step)
    place = options.to or options.llama
    (single_file if options.to else llama).write(place, found)
    said = "{file}: {run} after {step} steps; windtunnel evaluate {file}"
    yield Line(said, file=str(place), run=str(options.folder), step=found.step)
    return 0
