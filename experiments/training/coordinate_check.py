"""Coordinates: the size of each activation and its change in training, by width or depth.

A model of every width (or depth) trains for a few steps on one batch, at the peak learning rate.
Before each step and after the last one, on that batch and for every place,

    size = mean |x_t|        change = mean |x_t - x_0|

Their scaling with the width tests the parametrization: `python -m analysis coordinate-check` judges
the table written here.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from experiments.config.run import RunConfig
from experiments.config.schedule import ScheduleConfig
from experiments.training.hypers import Hypers, hypers
from experiments.training.populations.programs import QUICK_COMPILE
from experiments.training.step import Recipe, init_state, recipe, step
from models.config import TransformerConfig
from models.transformer import activations
from models.weights import STACK
from scaling.common.errors import UserError
from scaling.common.files import write_bytes

Grow = Literal["head_dim", "heads"]
Seen = tuple[Any, Any]  # two trees of places


@dataclass(frozen=True)
class Coordinate:
    """One row of the table."""

    width: int
    layers: int
    head_dim: int
    seed: int
    step: int  # steps taken before
    place: str  # "attention/query", "stream", "logits", ...
    layer: int  # -1 outside of the blocks
    size: float
    change: float


def resize(config: RunConfig, grow: Grow, **size: int) -> RunConfig:
    """The config of another `width=` or `layers=`; ffn and heads or head_dim grow with the width.

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

    grown = ("heads", "kv_heads") if grow == "heads" else ("head_dim",)
    changes: dict[str, Any] = {**size, **scaled("ffn", *grown)}
    larger = replace(model, **changes)
    return replace(config, science=replace(config.science, model=larger))


def measure(config: RunConfig, batches: NDArray[np.int32], steps: int) -> Iterator[Coordinate]:
    """The rows of one size: K seeds from `science.seed` on, each on its own batch.

    Args:
        batches: [K, B, T + 1].
    """
    science = replace(config.science, schedule=ScheduleConfig("constant", warmup_fraction=0.0))
    program = replace(config.execution.program, layers="scan")  # the same numbers, compiled sooner
    execution = replace(config.execution, program=program)
    made, leaves = recipe(RunConfig(science, execution)), hypers(science)

    def one(seed: Array, batch: Array) -> Seen:
        return observe(made, leaves.replace(seed=seed), batch, steps)

    options = QUICK_COMPILE[jax.default_backend()]
    seeds = science.seed + np.arange(len(batches), dtype=np.uint32)
    seen = jax.device_get(jax.jit(jax.vmap(one), compiler_options=options)(seeds, batches))
    return rows(science.model, seeds, seen)


def observe(made: Recipe, leaves: Hypers, batch: Array, steps: int) -> Seen:
    """(size, change) of every place, [steps + 1] or [steps + 1, L] each; pure."""

    def look(params: Any) -> Any:
        return activations(made.spec, params, batch[:, :-1])

    def advance(carry: Any, t: Array) -> Any:
        state, first = carry
        now = look(state.params)
        first = jax.tree.map(lambda a, b: jnp.where(t == 0, a, b), now, first)
        change = jax.tree.map(jnp.subtract, now, first)
        seen = jax.tree_util.tree_map_with_path(_mean, (now, change))
        return (step(made, state, leaves, batch)[0], first), seen

    state = init_state(made, leaves)
    empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(look, state.params))
    seen: Seen = jax.lax.scan(advance, (state, empty), jnp.arange(steps + 1))[1]
    return seen


def rows(model: TransformerConfig, seeds: NDArray[np.uint32], seen: Seen) -> Iterator[Coordinate]:
    """The rows of the values of `observe`, with a leading axis of seeds."""
    sizes, changes = seen
    for (path, size), change in zip(
        jax.tree_util.tree_leaves_with_path(sizes), jax.tree.leaves(changes), strict=True
    ):
        place, layer, block = _place(path)
        for k, t in np.ndindex(size.shape[:2]):
            pairs = zip(size[k, t].flat, change[k, t].flat, strict=True)
            for i, (mean, moved) in enumerate(pairs):
                where = (place, i * len(model.pattern) + block if layer is None else layer)
                yield Coordinate(
                    model.width,
                    model.layers,
                    model.head_dim,
                    int(seeds[k]),
                    t,
                    *where,
                    float(mean),
                    float(moved),
                )


def _mean(path: Any, x: Array) -> Array:
    """The mean size over everything but an axis of scanned layers: [L] there, else a scalar."""
    x = jnp.abs(x.astype(jnp.float32))
    return x.mean(range(1, x.ndim)) if jax.tree_util.DictKey(STACK) in path else x.mean()


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
