"""Hyperparameters as arrays: a traced pytree made from `TRACED`, so a grid is one executable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from experiments.config.run import Science
from experiments.config.traced import TRACED


@jax.tree_util.register_pytree_with_keys_class
class Hypers:
    """One attribute for each row of `TRACED`: a scalar, or [K] under vmap.

    The rows `penalties.*` are the dict `penalties`, by name. `teaching` has the teachers of a
    derived run, or is None.
    """

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)

    if TYPE_CHECKING:  # the rows of the table

        def __getattr__(self, name: str) -> Any: ...

    def replace(self, **values: Any) -> Hypers:
        """The same numbers but for these, each named as an attribute."""
        assert values.keys() <= vars(self).keys()
        return Hypers(**{**vars(self), **values})

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
        pairs = [(jax.tree_util.GetAttrKey(name), value) for name, value in vars(self).items()]
        return pairs, tuple(vars(self))

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], values: Iterable[Any]) -> Hypers:
        return cls(**dict(zip(names, values, strict=True)))


def hypers(science: Science, teaching: Any = None) -> Hypers:
    """The traced numbers of one run, and its `Teaching` if it has teachers."""
    tree: dict[str, Any] = {"teaching": teaching}
    for path, traced in TRACED.items():
        *section, name = path.split(".")
        branch = tree.setdefault(section[0], {}) if section else tree
        branch[name] = jnp.asarray(traced.value(science), traced.dtype)
    return Hypers(**tree)
