"""Show every parameter of a run with its rules; N, D and C under every definition.

flops_traced is 3 times the matrix products of the traced forward pass: it is flops_model, and the
empty slots of experts beside.

examples:
  windtunnel describe quickstart --rung 0
  windtunnel describe runs/quickstart/RUN/config.json
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from experiments.cli import _common as common
from scaling.common.answers import Answer, Line, Rows, Shown
from scaling.common.command_line import Parser
from scaling.common.errors import UserError, nearest
from scaling.common.quantities import whole
from scaling.machines.memory import FLOAT32

if TYPE_CHECKING:
    from experiments.config.run import Science
    from experiments.training.step import Recipe
    from models.weights import Weight
    from scaling.counting.parts import Dims

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

PARTS = ("part", "params", "flops forward, a token", "state, bytes a sequence")


def add(parser: Parser) -> None:
    common.add_study_or_config(parser)
    parser.add_argument("--rung", type=whole, default=0, help="show the first run of this rung")
    parser.add_argument("--label", help="of the runs with this label (default: any)")


def run(options: argparse.Namespace) -> Answer:
    from experiments import studies
    from experiments.training.step import recipe

    runs = studies.runs(options.study, options.assignments)
    labels = list(dict.fromkeys(run.label for run in runs))
    if options.label is not None and options.label not in labels:
        raise UserError(f"--label {options.label}: {nearest(options.label, labels)}")
    shown = [run for run in runs if options.label in (None, run.label)]
    planned = {run.rung: run for run in reversed(shown)}
    if options.rung not in planned:
        raise UserError(f"--rung {options.rung}: the study has rungs {sorted(planned)}")
    run = planned[options.rung]
    science, made = run.config.science, recipe(run.config, platform="cpu")
    yield Line(
        "model: {model}\nparametrization: {parametrization}\n",
        model=_fields(science.model),
        parametrization=_fields(science.parametrization),
    )
    yield Rows("weights", HEAD, [_row(science, made, each) for each in made.table], left=2)
    ledger = {**run.ledger, "flops_traced": _traced(science) * run.ledger["tokens"]}
    counts = [
        (name, Shown.of(value, ",.0f" if value < 1e12 else ".4g")) for name, value in ledger.items()
    ]
    yield Rows("counts", ("count", "value"), counts, above="\n")
    yield Rows("parts", PARTS, _parts(run.dims), left=1, above="\n")
    return 0


def _traced(science: Science) -> float:
    """FLOPs of a training token: 3 times the products of the traced forward pass of a sequence."""
    import jax
    import jax.numpy as jnp

    from models.module import Spec
    from models.transformer import apply, init
    from scaling.counting.traced_flops import matmul_flops

    spec, length = Spec(science.model), science.batch.seq_len
    params = jax.eval_shape(partial(init, spec, length), jax.random.key(0))
    window = jax.ShapeDtypeStruct((1, length), jnp.int32)
    return 3 * matmul_flops(partial(apply, spec), params, window) / length


def _parts(dims: Dims) -> list[list[Any]]:
    """Each part of the model: parameters, FLOPs of a token, and the state of a sequence."""
    from scaling.counting.formulas import flops_by_part, params_by_part, state_by_part

    found = [f(dims) for f in (params_by_part, flops_by_part, state_by_part)]
    empty = dict.fromkeys((name for each in found for name in each), 0)
    params, flops, state = ({**empty, **each} for each in found)
    return [
        [
            name,
            Shown.of(params[name], ","),
            Shown.of(flops[name] // 3, ","),
            Shown.of(state[name] * FLOAT32, ","),
        ]
        for name in empty
    ]


def _fields(section: Any) -> Shown:
    """The fields of a section; as text, those that differ from their defaults."""
    from experiments.config.fields import flat, to_dict

    default = dict(flat(to_dict(type(section)())))
    given = [(name, value) for name, value in flat(to_dict(section)) if value != default[name]]
    said = ", ".join(f"{name} {value}" for name, value in given)
    return Shown(to_dict(section), said or "as by default")


def _row(science: Science, made: Recipe, weight: Weight) -> list[Any]:
    from models.layout import sharding

    o = science.optimizer
    rule = science.parametrization.rule(weight, science.model, o.kind.family_of(weight.role))
    decays = rule.weight_decay if o.decay == "coupled" else float(rule.weight_decay > 0)
    return [
        _name(weight),
        weight.role,
        Shown(weight.shape, str(weight.shape)),
        Shown.of(weight.size, ","),
        Shown.of(science.init_scale * rule.init_std, ".4g"),
        Shown.of(rule.multiplier, ".4g"),
        Shown.of(rule.learning_rate, ".4g"),
        Shown.of(o.learning_rate * rule.learning_rate, ".3g"),
        Shown.of(o.weight_decay * decays, ".3g"),
        Shown.of(o.epsilon * rule.epsilon, ".2g"),
        weight.letters,
        str(sharding(made.spec.layout, weight)),
    ]


def _name(weight: Weight) -> str:
    """The path with the layer in brackets: blocks[0]/mlp/in."""
    if weight.layer is None:
        return weight.path
    return weight.path.replace("/", f"[{weight.layer}]/", 1)
