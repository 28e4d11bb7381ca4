"""Measure the validation loss of an exported file, on its config's data or on others.

example:
  python -m experiments evaluate model.safetensors --set evaluation.windows=4096
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from experiments.cli import _common as common
from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a file written by export")
    common.add_assignments(parser, "a field of its config (data.path=...)")
    common.add_cache(parser)


def run(options: argparse.Namespace) -> int:
    """The file's parameters in a fresh state, on the validation windows of its config."""
    from experiments import data
    from experiments.config.overrides import override
    from experiments.sweep.preflight import check_vocabulary
    from experiments.training import export
    from experiments.training.hypers import hypers
    from experiments.training.populations.member import validation_parts
    from experiments.training.populations.programs import programs
    from experiments.training.step import fresh_state, recipe

    config, arrays = export.read(options.file)
    config = override(config, options.assignments)
    made, science = recipe(config), config.science
    params = export.from_arrays(made, arrays, str(options.file))
    mixture = data.Corpora(options.cache, common.on_stderr).mixture(science.data)
    check_vocabulary(science, mixture)
    parts = validation_parts(config, mixture)
    loss = float(programs(made).evaluate(fresh_state(made, hypers(science), params), parts))
    per_byte = loss / mixture.bytes_per_token("valid")
    print(
        f"{loss:.6f} nats/token, {per_byte:.6f} nats/byte, {per_byte / math.log(2):.6f} bits/byte"
    )
    return 0
