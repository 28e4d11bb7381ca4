"""Measure the validation loss of an exported file, and other tasks, on its data or others.

example:
  python -m experiments evaluate model.safetensors --set evaluation.windows=4096
  python -m experiments evaluate model.safetensors --set evaluation.tasks=my_task
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from experiments.cli import _common as common
from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a file written by export")
    common.add_assignments(parser, "a field of its config (data.path=...)")
    common.add_cache(parser)


def run(options: argparse.Namespace) -> Answer:
    """Evaluate the file's parameters, in a fresh state, on every task of its config."""
    from experiments import data
    from experiments.config.overrides import override
    from experiments.evaluation.task import VALIDATION, evaluate, numbers
    from experiments.sweep.preflight import check_vocabulary
    from experiments.training import export
    from experiments.training.hypers import hypers
    from experiments.training.populations.programs import programs
    from experiments.training.populations.trained import Trained
    from experiments.training.step import fresh_state, recipe

    config, arrays = export.read(options.file)
    config = override(config, options.assignments)
    made, science = recipe(config), config.science
    params = export.from_arrays(made, arrays, str(options.file))
    mixture = data.Corpora(options.cache, common.on_stderr).mixture(science.data)
    check_vocabulary(science, mixture)
    model = Trained(programs(made), fresh_state(made, hypers(science), params), made.microbatch)
    options.progress("evaluating")
    found = evaluate(science.evaluation.tasks, model, mixture, science)
    loss = found[VALIDATION].metrics["loss"]
    per_byte = loss / mixture.bytes_per_token("valid")
    yield Line(
        "{loss:.6f} nats/token, {loss_per_byte:.6f} nats/byte, {bits_per_byte:.6f} bits/byte",
        loss=loss,
        loss_per_byte=per_byte,
        bits_per_byte=per_byte / math.log(2),
    )
    for name, value in numbers(found).items():
        yield Line("{metric} {value:.6f}", "metrics", metric=name, value=value)
    return 0
