"""Evaluate tasks on the kept checkpoints of a study's runs, or an exported file on its data.

Of a folder, each checkpoint takes one batched pass over every item that it has not answered yet;
rows go beside the run, evaluations/TASK/STEP.parquet. A file, or the folder of a Llama, is measured
on its validation text, or another's, by its own tokenizer.

examples:
  windtunnel evaluate runs/quickstart --tasks addition,brackets,mine.jsonl --checkpoints all
  windtunnel evaluate runs/quickstart --tasks addition --samples 64 --temperature 0.7
  windtunnel evaluate model.safetensors --set evaluation.windows=4096
  windtunnel evaluate model.safetensors --set data.source=files --set data.path=texts
  windtunnel evaluate model.safetensors --set evaluation.tasks=my_task
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from experiments.cli import _common as common
from scaling.common.answers import Answer, Line, Note, Rows
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.quantities import not_negative, share, whole
from scaling.common.remote import local


def add(parser: Parser) -> None:
    parser.add_argument(
        "path", type=local, metavar="PATH", help="a study's folder, a run's, or a model by export"
    )
    common.add_assignments(parser, "a field of the file's config (data.path=...)")
    common.add_cache(parser)
    parser.add_argument(
        "--tasks",
        type=lambda text: tuple(filter(None, text.split(","))),
        default=(),
        metavar="NAME,...",
        help="of a folder: tasks by name, and JSON or JSONL files of items",
    )
    parser.add_argument(
        "--checkpoints", default="last", metavar="WHICH", help="all, last (default), or a step"
    )
    parser.add_argument(
        "--samples", type=whole, default=0, help="at most so many of an item with a verifier"
    )
    parser.add_argument("--temperature", type=not_negative, default=1.0, help="of the samples")
    parser.add_argument("--top-k", type=whole, default=0, help="likeliest tokens kept; 0: all")
    parser.add_argument("--top-p", type=share, default=1.0, help="probability kept")
    parser.add_argument(
        "--overlap",
        choices=("skip", "count"),
        default="skip",
        help="count the items of which the training text holds the last 50 bytes",
    )


def run(options: argparse.Namespace) -> Answer:
    """Evaluate the checkpoints of a folder, or a file."""
    from experiments.training.exports.forms import is_exported

    return (yield from (_file if is_exported(options.path) else _folder)(options))


def _folder(options: argparse.Namespace) -> Answer:
    """Evaluate the tasks at every checkpoint that lacks them."""
    from experiments.data import Corpora
    from experiments.evaluation.asking import Drawing, asked
    from experiments.evaluation.model import Sampler
    from experiments.training.populations.kept import evaluate_kept

    if options.assignments or not options.tasks:
        raise UserError(
            f"{options.path}: a folder takes --tasks, such as --tasks addition, and no --set"
        )
    which = options.checkpoints
    if which not in ("all", "last"):
        which = whole(which)
    sampler = Sampler(options.temperature, options.top_k, options.top_p)
    tasks = [asked(name) for name in dict.fromkeys(options.tasks)]
    drawing = Drawing(options.samples, sampler=sampler)
    corpora, rows, told = Corpora(options.cache, common.on_stderr), [], set()
    for each in evaluate_kept(
        options.path, tasks, which, drawing, corpora, options.overlap, options.progress
    ):
        for line in each.found.faults:
            if (each.task, line) not in told:
                told.add((each.task, line))
                yield Note(f"{each.task}: {line}")
        if each.found.cut:
            yield Note(f"{each.run_id} {each.task}: {each.found.cut} prompts were cut")
        if each.overlap:
            yield Note(
                f"{each.run_id} {each.task}: {each.overlap} items stand in its training text"
            )
        rows += [
            [each.run_id, each.step, each.task, name, value]
            for name, value in each.found.metrics.items()
        ]
    if not rows:
        yield Note(f"{options.path}: every checkpoint has these tasks already")
    yield Rows("evaluations", ("run", "step", "task", "metric", "value"), rows)
    return 0


def _file(options: argparse.Namespace) -> Answer:
    """Evaluate the file's parameters, in a fresh state, on every task of its config."""
    from experiments import data
    from experiments.config.overrides import joined, once, override
    from experiments.evaluation.task import VALIDATION, evaluate, numbers
    from experiments.sweep.preflight import check_vocabulary
    from experiments.training.exports.forms import model_of
    from experiments.training.exports.single_file import from_arrays
    from experiments.training.hypers import hypers
    from experiments.training.populations.programs import programs
    from experiments.training.populations.trained import Trained
    from experiments.training.step import fresh_state, recipe

    exported = model_of(options.path)
    trained_on = exported.config.science.data
    config = override(exported.config, _of_any_text(joined(once(options.assignments))))
    made, science = recipe(config), config.science
    for name in ("tokenizer", "vocab_size"):
        if getattr(science.data, name) != getattr(trained_on, name):
            raise UserError(
                f"data.{name}={getattr(science.data, name)}: the model reads by its own tokenizer, "
                f"with {getattr(trained_on, name)}; leave it out"
            )
    params = from_arrays(made, exported.arrays, str(options.path))
    corpora = data.Corpora(options.cache, common.on_stderr, exported.tokenizer)
    mixture = corpora.mixture(science.data)
    if not mixture.fingerprint.startswith(trained_on.fingerprint):
        common.on_stderr(f"this is not the text of its training, {trained_on.fingerprint}")
    check_vocabulary(science, mixture)
    state = fresh_state(made, hypers(science), params)
    model = Trained(programs(made), state, made.microbatch, made)
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
