"""Measure how activations and their changes scale with width or depth.

The model is the study's first run's, and grows by the rule of the study: a side that is the same at
its widths is so here. `windtunnel coordinate-check` judges the table.

example:
  windtunnel coordinates quickstart --set parametrization.name=mup
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from experiments.cli import _common as common
from scaling.common.answers import Answer, Line, Note
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.files import output_file
from scaling.common.quantities import count, counts

if TYPE_CHECKING:
    from experiments.plan.study import Study

FILE = "coordinates.csv"  # in the study's folder
FACTORS = (1, 2, 4, 8)


def add(parser: Parser) -> None:
    common.add_file(parser)
    parser.add_argument(
        "--widths",
        type=counts,
        help="as 64,128,256 (default: 1, 2, 4 and 8 times the model's)",
    )
    parser.add_argument("--depths", type=counts, help="numbers of layers from 2 on, at one width")
    parser.add_argument(
        "--grow",
        choices=("head_dim", "heads"),
        default="head_dim",
        help="the axis that makes a model wider; head_dim (default) checks the attention scale too",
    )
    parser.add_argument("--steps", type=count, default=8, help="steps on one batch (default 8)")
    parser.add_argument("--seeds", type=count, default=5, help="default 5")


def run(options: argparse.Namespace) -> Answer:
    import numpy as np

    from experiments import data, studies
    from experiments.training.coordinate_check import (
        Coordinate,
        fixed_sides,
        measure,
        resize,
        write,
    )

    if options.widths and options.depths:
        raise UserError("--widths or --depths, not both: the check is over one of them")
    for name in ("widths", "depths"):
        given = getattr(options, name)
        if given and (len(given) < 2 or len(set(given)) < len(given)):
            listed = ",".join(map(str, given))
            raise UserError(f"--{name} {listed}: give two sizes or more, each once")
    study = studies.load(options.study, options.assignments)
    fixed = sorted(fixed_sides(run.config for run in study.runs))
    first = _first(study)
    path = output_file(str(common.folder(options, first) / FILE))
    sweep = common.bind(options, study=first)
    config = sweep.study.runs[0].config
    model, batch = config.science.model, config.science.batch
    axis, sizes = ("layers", options.depths) if options.depths else ("width", options.widths)
    sizes = sizes or [model.width * factor for factor in FACTORS]
    configs = [resize(config, options.grow, fixed, **{axis: size}) for size in sizes]
    batches = next(
        data.chunks(
            sweep.corpora.mixture(config.science.data).train,
            seed=config.science.seed,
            sequences=batch.sequences,
            seq_len=batch.seq_len,
            start_step=0,
            stop_step=options.seeds,
            steps_per_chunk=options.seeds,
        )
    )
    rows: list[Coordinate] = []
    for done, (size, sized) in enumerate(zip(sizes, configs, strict=True)):
        said = f"{axis}={size}: {options.seeds} seeds, {options.steps} steps"
        options.progress(said, done, len(sizes))
        rows += measure(sized, np.asarray(batches), options.steps)
    write(rows, path)
    for side in fixed if axis == "width" else ():
        said = f"{side} is the same at every width, as in the study; its rates go by its own ratio"
        yield Note(f"{said} where parametrization.base_{side} is set")
    yield Line("{table}\nnext: windtunnel coordinate-check {table}", table=str(path))
    return 0


def _first(study: Study) -> Study:
    """The study of its first run alone, from its start."""
    from experiments.plan.run import Fresh

    return replace(study, runs=(replace(study.runs[0], beginning=Fresh()),), designed=())
