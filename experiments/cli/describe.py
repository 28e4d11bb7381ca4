"""Show every parameter of a run with its rules; N, D and C under every definition.

examples:
  python -m experiments describe quickstart --rung 0
  python -m experiments describe runs/quickstart/RUN/config.json
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from experiments.cli import _common as common
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.tables import table

if TYPE_CHECKING:
    from experiments.config.run import Science
    from experiments.training.step import Recipe
    from models.weights import Weight

HEAD = (
    "parameter",
    "role",
    "shape",
    "params",
    "init std",
    "mult",
    "lr factor",
    "lr",
    "wd",
    "eps",
    "letters",
    "sharding",
)


def add(parser: Parser) -> None:
    common.add_study_or_config(parser)
    parser.add_argument("--rung", type=int, default=0, help="show the first run of this rung")


def run(options: argparse.Namespace) -> int:
    from experiments import studies
    from experiments.training.step import recipe

    runs = studies.runs(options.study, options.assignments)
    planned = {run.rung: run for run in reversed(runs)}
    if options.rung not in planned:
        raise UserError(f"--rung {options.rung}: the study has rungs {sorted(planned)}")
    run = planned[options.rung]
    science, made = run.config.science, recipe(run.config, platform="cpu")
    print(f"{science.model}\n{science.parametrization}\n")
    print(table(HEAD, [_row(science, made, weight) for weight in made.table], left=2))
    print()
    for name, value in run.ledger.items():
        print(f"{name:24} {value:>16,.0f}" if value < 1e12 else f"{name:24} {value:>16.4g}")
    return 0


def _row(science: Science, made: Recipe, weight: Weight) -> list[str]:
    from models.layout import sharding

    o = science.optimizer
    rule = science.parametrization.rule(weight, science.model, o.kind.family_of(weight.role))
    decays = rule.weight_decay if o.decay == "coupled" else float(rule.weight_decay > 0)
    return [
        _name(weight),
        weight.role,
        str(weight.shape),
        f"{weight.size:,}",
        f"{science.init_scale * rule.init_std:.4g}",
        f"{rule.multiplier:.4g}",
        f"{rule.learning_rate:.4g}",
        f"{o.learning_rate * rule.learning_rate:.3g}",
        f"{o.weight_decay * decays:.3g}",
        f"{o.epsilon * rule.epsilon:.2g}",
        weight.letters,
        str(sharding(made.spec.layout, weight)),
    ]


def _name(weight: Weight) -> str:
    """The path with the layer in brackets: blocks[0]/mlp/in."""
    if weight.layer is None:
        return weight.path
    return weight.path.replace("/", f"[{weight.layer}]/", 1)
