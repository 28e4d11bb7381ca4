"""A population: K runs of one recipe in one program, and the programs that the trainer calls.

The members' states, hypers and batches lie along a leading axis [K] and the solo chunk is mapped
over it, so a member is computed by the same steps as alone. Its trip count is its own: a member
that has come to its end, or that has diverged, stands still by a select while the others go on,
and no member's numbers enter another's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.hypers import Hypers
from experiments.step import Recipe, TrainState, evaluate, init_state, train_chunk

Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Programs:
    """The compiled programs of a recipe for K members; those of one member know no axis [K].

    `init` and `evaluate` are of one member. `chunk` is of all, and takes the state's buffers for
    its own. `join` puts the members' trees together as `chunk` wants them, `part` takes one out.
    """

    init: Callable[[Hypers], TrainState]
    chunk: jax.stages.Wrapped  # (state, hypers, batches) -> (state, metrics)
    evaluate: Callable[[Any, Any], jax.Array]
    join: Callable[[Sequence[Any]], Any]
    part: Callable[[Any, int], Any]


# The init of a small model costs LLVM more to optimise than it ever takes to run
QUICK_COMPILE = {"cpu": {"xla_backend_optimization_level": 0}, "gpu": None, "tpu": None}


@cache
def programs(recipe: Recipe, members: int = 1) -> Programs:
    """One set per recipe and K: every learning rate, schedule length and seed shares it."""
    if members == 1:
        options = QUICK_COMPILE[jax.default_backend()]
        return Programs(
            init=jax.jit(partial(init_state, recipe), compiler_options=options),
            chunk=jax.jit(partial(train_chunk, recipe), donate_argnums=0),
            evaluate=jax.jit(partial(evaluate, recipe)),
            join=lambda trees: trees[0],
            part=lambda tree, k: tree,
        )
    alone = programs(recipe)
    return Programs(
        init=alone.init,
        chunk=jax.jit(jax.vmap(partial(train_chunk, recipe)), donate_argnums=0),
        evaluate=alone.evaluate,
        join=join,
        part=jax.jit(part),
    )


def join(trees: Sequence[Tree]) -> Tree:
    """The trees of K members as one with a leading axis [K]; NumPy's arrays stay on the host."""

    def stack(*leaves: Any) -> Any:
        return (np if isinstance(leaves[0], np.ndarray) else jnp).stack(leaves)

    return jax.tree.map(stack, *trees)


def part(tree: Tree, k: jax.Array) -> Tree:
    """Member k of a joined tree."""
    return jax.tree.map(lambda leaf: leaf[k], tree)
