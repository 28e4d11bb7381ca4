"""Measure the validation loss of an exported file, and other tasks, on its data or others.

Any text is read by the file's own tokenizer.

examples:
  windtunnel evaluate model.safetensors --set evaluation.windows=4096
  windtunnel evaluate model.safetensors --set data.source=files --set data.path=texts
  windtunnel evaluate model.safetensors --set evaluation.tasks=my_task
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from experiments.cli import _common as common
from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.remote import local


def add(parser: Parser) -> None:
    parser.add_argument("file", type=local, metavar="FILE", help="a file written by export")
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

    exported = export.read(options.file)
    trained_on = exported.config.science.data
    config = override(exported.config, _of_any_text(options.assignments))
    made, science = recipe(config), config.science
    for name in ("tokenizer", "vocab_size"):
        if getattr(science.data, name) != getattr(trained_on, name):
            raise UserError(
                f"data.{name}={getattr(science.data, name)}: the model reads by its own tokenizer, "
                f"with {getattr(trained_on, name)}; leave it out"
            )
    params = export.from_arrays(made, exported.arrays, str(options.file))
    corpora = data.Corpora(options.cache, common.on_stderr, exported.tokenizer)
    mixture = corpora.mixture(science.data)
    if not mixture.fingerprint.startswith(trained_on.fingerprint):
        common.on_stderr(f"this is not the text of its training, {trained_on.fingerprint}")
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


def _of_any_text(assignments: Sequence[str]) -> list[str]:
    """The assignments; those that change the data set its known fingerprint free first."""
    changed = any(text.startswith("data.") for text in assignments)
    return [*(["data.fingerprint="] if changed else []), *assignments]
