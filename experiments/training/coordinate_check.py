"""Coordinates: the size of each activation and its change in training, by width or depth.

A model of every width (or depth) trains for a few steps on one batch, at the peak learning rate.
Before each step and after the last one, on that batch and for every place,

    size = mean |x_t|        change = mean |x_t - x_0|

The rules in force are measured too, one by one, of every weight w = multiplier * theta:

    init     standard deviation of w at the start, from which it is drawn
    rate     RMS of the optimizer's first change of w, for a gradient of w of entries +1 and -1
    epsilon  which halves that change, up to a constant
    decay    change of theta by a weight decay of 1, as a share of theta

and the factors of the forward pass. Their scaling with the width tests the parametrization:
`windtunnel coordinate-check` judges the table written here.
"""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from experiments.config.optimizer import optimizer
from experiments.config.run import RunConfig
from experiments.config.schedule import ScheduleConfig
from experiments.training.hypers import Hypers, hypers
from experiments.training.populations.programs import QUICK_COMPILE
from experiments.training.step import Recipe, init_state, recipe, step, update
from models.module import Spec
from models.transformer import activations
from models.weights import STACK
from scaling.common.errors import UserError
from scaling.common.files import write_bytes
from scaling.parametrization.tables import Rule
from scaling.parametrization.weight import Weight

Grow = Literal["head_dim", "heads"]
Side = Literal["ffn", "attention"]  # of a model, beside its width
Seen = tuple[Any, Any]  # two trees of places

LARGE = 1e6  # an epsilon far above any gradient
ISOLATED = {"epsilon": 0.0, "weight_decay": 0.0, "clip_norm": float("inf")}  # the rate alone


@dataclass(frozen=True)
class Coordinate:
    """One row of the table: of an activation, of a rule in force, or of a factor.

    A rule belongs to no seed and no layer: its row has the first of each.
    """

    parametrization: str
    width: int
    layers: int
    head_dim: int
    seed: int
    step: int  # steps taken before
    quantity: str  # "size" or "change"; "init", "multiplier", "rate", "epsilon", "decay"; "factor"
    place: str  # "attention/query", "stream", "logits", ...; of a rule, its weight
    layer: int  # -1 outside of the blocks
    value: float
    role: str = ""  # of a weight
    family: str = ""  # of its updates
    fan_in: int = 0
    fan_out: int = 0


def fixed_sides(configs: Iterable[RunConfig]) -> frozenset[Side]:
    """The sides that are one size at several widths, among these runs and their bases."""
    seen: dict[Side, set[tuple[int, int]]] = {"ffn": set(), "attention": set()}
    for science in (config.science for config in configs):
        model, p = science.model, science.parametrization
        sizes: Mapping[Side, tuple[int, int]] = {
            "ffn": (model.ffn, p.base_ffn),
            "attention": (model.heads * model.head_dim, p.base_attention),
        }
        for side, (size, base) in sizes.items():
            seen[side] |= {(model.width, size), *([(p.base_width, base)] if base else [])}
    return frozenset(
        side
        for side, pairs in seen.items()
        if len({width for width, _ in pairs}) > 1 == len({size for _, size in pairs})
    )


def resize(config: RunConfig, grow: Grow, fixed: Collection[Side] = (), **size: int) -> RunConfig:
    """The config of another `width=` or `layers=`; sides that are not fixed grow with the width.

    More heads of one size leave the factor on q.k the same at every width, unchecked; larger heads
    check it too.
    """
    model = config.science.model
    ratio = size.get("width", model.width) / model.width

    def scaled(*names: str) -> Mapping[str, int]:
        values = {name: getattr(model, name) * ratio for name in names}
        for name, value in values.items():
            if value != int(value):
                raise UserError(
                    f"width {size['width']}: model.{name}={getattr(model, name)} times "
                    f"{ratio:g} is no whole number; choose multiples of model.width={model.width}"
                )
        return {name: int(value) for name, value in values.items()}

    attention = ("heads", "kv_heads") if grow == "heads" else ("head_dim",)
    sides: Mapping[Side, tuple[str, ...]] = {"ffn": ("ffn",), "attention": attention}
    grown = [name for side, names in sides.items() if side not in fixed for name in names]
    changes: dict[str, Any] = {**size, **scaled(*grown)}
    larger = replace(model, **changes)
    return replace(config, science=replace(config.science, model=larger))


def measure(config: RunConfig, batches: NDArray[np.int32], steps: int) -> Iterator[Coordinate]:
    """The rows of one size: K seeds from `science.seed` on, each on its own batch.

    Args:
        batches: [K, B, T + 1].
    """
    science = replace(config.science, schedule=ScheduleConfig("constant", warmup_fraction=0.0))
    program = config.execution.program
    if science.model.repeats_exactly:
        program = replace(program, layers="scan")  # the same numbers, compiled sooner
    execution = replace(config.execution, program=program)
    made, leaves = recipe(RunConfig(science, execution)), hypers(science)

    def one(seed: Array, batch: Array) -> Seen:
        return observe(made, leaves.replace(seed=seed), batch, steps)

    options = QUICK_COMPILE[jax.default_backend()]
    seeds = science.seed + np.arange(len(batches), dtype=np.uint32)
    found = jax.jit(partial(probe, made), compiler_options=options)(leaves)
    yield from rule_rows(made, science.seed, jax.device_get(found))
    seen = jax.device_get(jax.jit(jax.vmap(one), compiler_options=options)(seeds, batches))
    yield from rows(made.spec, seeds, seen)


def observe(made: Recipe, leaves: Hypers, batch: Array, steps: int) -> Seen:
    """(size, change) of every place, [steps + 1] or [steps + 1, L] each; pure."""

    def look(params: Any) -> Any:
        with made.products:
            return activations(made.spec, params, batch[:, :-1])

    def advance(carry: Any, t: Array) -> Any:
        state, first = carry
        now = look(state.params)
        first = jax.tree.map(lambda a, b: jnp.where(t == 0, a, b), now, first)
        # of a slot that its token left, nothing is known
        change = jax.tree.map(lambda a, b: jnp.where(a == 0, 0, a - b), now, first)
        seen = jax.tree_util.tree_map_with_path(_mean, (now, change))
        return (step(made, state, leaves, batch)[0], first), seen

    state = init_state(made, leaves)
    empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(look, state.params))
    seen: Seen = jax.lax.scan(advance, (state, empty), jnp.arange(steps + 1))[1]
    return seen


def probe(made: Recipe, leaves: Hypers) -> dict[str, Any]:
    """Each rule in force as a tree of numbers, one for a weight; pure.

    The optimizer is asked for its first change, without clipping.
    """

    def said(pick: Callable[[Rule], float]) -> Any:
        return jax.tree.map(
            lambda rule: jnp.float32(pick(rule)), made.rules, is_leaf=lambda x: isinstance(x, Rule)
        )

    multipliers = said(lambda rule: rule.multiplier)
    shapes = jax.eval_shape(lambda: init_state(made, leaves).params)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    ones = jax.tree.map(jnp.ones_like, zeros)
    signs = _signs(made.weights, zeros)
    grads = jax.tree.map(jnp.multiply, signs, multipliers)

    def change(params: Any, **numbers: float) -> Any:
        asked = leaves.replace(**{**ISOLATED, **numbers})
        optimizer = update(made, asked, jnp.float32(1))
        return optimizer.update(grads, optimizer.init(params), params)[0]

    def rms(tree: Any) -> Any:
        return jax.tree.map(lambda x: jnp.sqrt(jnp.square(x).mean()), tree)

    free = change(zeros)
    damped = rms(change(zeros, epsilon=LARGE))
    # both from the same parameters, so that they are equal to the last bit where nothing decays
    still, decayed = change(ones), change(ones, weight_decay=1.0)
    # independent decay has no rule but to decay or not
    coupled = float(made.decay == "coupled")
    return {
        "init": said(lambda rule: rule.init_std * rule.multiplier),
        "multiplier": multipliers,
        "rate": jax.tree.map(jnp.multiply, rms(free), multipliers),
        # 0 where the optimizer does not read it
        "epsilon": jax.tree.map(
            lambda a, b: jnp.where(b < 0.5 * a, a / b / LARGE, 0), rms(free), damped
        ),
        "decay": rms(jax.tree.map(lambda a, b: coupled * (a - b), decayed, still)),
    }


def _signs(weights: Any, zeros: Any) -> Any:
    """+1 and -1 at random, for each weight its own."""

    def draw(weight: Weight, x: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(0), zlib.crc32(weight.path.encode()))
        return jax.random.rademacher(key, x.shape, x.dtype)

    return jax.tree.map(draw, weights, zeros, is_leaf=lambda x: isinstance(x, Weight))


def rule_rows(made: Recipe, seed: int, found: dict[str, Any]) -> Iterator[Coordinate]:
    """The rows of the values of `probe`, and of the factors of the forward pass; none of a zero."""
    model, p, kind = made.spec.config, made.spec.parametrization, optimizer(made.optimizer)
    fixed = (p.name, model.width, model.layers, model.head_dim, seed, 0)
    for quantity, tree in found.items():
        for weight, value in zip(made.table, jax.tree.leaves(tree), strict=True):
            if value > 0:
                place = weight.path.removeprefix(f"{STACK}/")
                of = (weight.role, kind.family_of(weight.role), weight.fan_in, weight.fan_out)
                layer = 0 if weight.in_block else -1
                yield Coordinate(*fixed, quantity, place, layer, float(value), *of)
    factors = {
        "attention": p.attention_factor(model.head_dim),
        "residual": p.residual_factor(model),
    }
    if model.embeddings == "tied":
        factors["tied"] = p.tied_readout_factor(model)
    for name, value in factors.items():
        yield Coordinate(*fixed, "factor", name, -1, float(value))


def rows(spec: Spec, seeds: NDArray[np.uint32], seen: Seen) -> Iterator[Coordinate]:
    """The rows of the values of `observe`, with a leading axis of seeds."""
    model, name = spec.config, spec.parametrization.name
    for quantity, tree in zip(("size", "change"), seen, strict=True):
        for path, values in jax.tree_util.tree_leaves_with_path(tree):
            place, layer, block = _place(path)
            for k, t in np.ndindex(values.shape[:2]):
                fixed = (name, model.width, model.layers, model.head_dim, int(seeds[k]), t)
                for i, value in enumerate(values[k, t].flat):
                    at = i * model.period + block if layer is None else layer
                    yield Coordinate(*fixed, quantity, place, at, float(value))


def _mean(path: Any, x: Array) -> Array:
    """The mean size over everything but an axis of scanned layers: [L] there, else a scalar.

    Zeros are no activations: slots of experts that hold no token, at any width another number.
    """
    x = jnp.abs(x.astype(jnp.float32))
    axes = range(1, x.ndim) if jax.tree_util.DictKey(STACK) in path else range(x.ndim)
    return x.sum(tuple(axes)) / jnp.maximum(1, (x > 0).sum(tuple(axes)))


def _place(path: Any) -> tuple[str, int | None, int]:
    """The place of an activation, its layer, and its block of the pattern.

    The layer is None where layers lie along an axis.
    """
    where = jax.tree_util.keystr(path, simple=True, separator="/")
    found = re.fullmatch(rf"{STACK}(?:_(\d+))?/(?:(\d+)/)?(.*)", where)
    if found is None:
        return where, -1, 0
    layer, block, place = found.groups()
    return place, int(layer) if layer else None, int(block) if block else 0


def write(rows: Sequence[Coordinate], path: Path) -> None:
    """Write the rows as a CSV file, atomically."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(Coordinate.__dataclass_fields__), lineterminator="\n")
    table.writeheader()
    table.writerows(vars(row) for row in rows)
    write_bytes(path, text.getvalue().encode())
