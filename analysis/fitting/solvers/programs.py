"""Compiled programs of formulas: one per form and bucket of rows, in a bounded cache.

Two laws have one form where JAX traces their formulas to the same expression, whatever objects they
are and whatever values their held parameters have. Tables are filled up to buckets of rows with
rows of no weight, so that tables of about one length share a program. A process that fits a
thousand tables of ten laws compiles some tens of programs; the oldest are freed beyond `PROGRAMS`.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from analysis.tables.points import Array
from scaling.laws import Law

PROGRAMS = 64
MEMBERS, MANY = (64, 512), 4096  # rows of parameters in one call, the second from so many on: a
# first fit compiles one shape, and its resamples one more
QUICK = {"xla_backend_optimization_level": 1}  # compiles in two thirds of the time, runs as fast
FEW, LARGE = 8, 2**15  # rows of parameters where one makes so many numbers: no call is filled up
SMALLEST = 8  # rows; buckets are 8, 12, 16, 24, 32, 48, ...

Slots = tuple[tuple[bool, int, bool], ...]
"""Per parameter of a formula: True where it is fitted, its place, and whether theta is its log."""


@contextmanager
def float64() -> Iterator[None]:
    """Context of double precision on the CPU."""
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        yield


def in_one_call(count: int, size: int) -> int:
    """Rows of parameters in each call, of `count`, where one makes `size` numbers."""
    return FEW if size > LARGE else MEMBERS[count > MANY]


def bucket(rows: int) -> int:
    """The least of 8, 12, 16, 24, 32, 48, ... that holds the rows."""
    whole = SMALLEST
    while whole < rows:
        whole *= 2
    return whole * 3 // 4 if whole > SMALLEST and rows <= whole * 3 // 4 else whole


def trace(law: Law, variables: Mapping[str, Array], rows: int) -> ClosedJaxpr:
    """The formula as JAX sees it, of the parameters in the order of the law, those to fit in their
    units; of the variables at this many rows, and of the middles of the loss and of these."""
    names = [each.name for each in law.space]

    def formula(values: Sequence[Any], columns: Sequence[Any], middles: Sequence[Any]) -> Any:
        params = dict(zip(names, values, strict=True))
        means = dict(zip(shapes, middles, strict=True))
        units = in_units(jnp, law, params, means)
        whole = params | {name: params[name] * unit for name, unit in units.items()}
        whole |= {name: whole[other] for name, other in law.equal.items()}
        return law.formula(jnp, whole, dict(zip(law.variables, columns, strict=True)))

    shapes = {"loss": ()} | {name: np.shape(variables[name])[1:] for name in law.variables}
    columns = [jax.ShapeDtypeStruct((rows, *shapes[name]), np.float64) for name in law.variables]
    middles = [jax.ShapeDtypeStruct(shape, np.float64) for shape in shapes.values()]
    with float64():
        return jax.make_jaxpr(formula)([np.float64(1)] * len(names), columns, middles)


def in_units(
    xp: Any, law: Law, params: Mapping[str, Any], middles: Mapping[str, Any]
) -> dict[str, Any]:
    """The units of the parameters to fit that have one, given the others."""
    return {each.name: each.unit(xp, params, middles) for each in law.free if each.unit}


def slots(law: Law) -> Slots:
    """Places of the parameters of the formula: among those fitted, or those held."""
    fitted = {each.name: (True, at, each.scale == "log") for at, each in enumerate(law.free)}
    fixed = {name: (False, at, False) for at, name in enumerate(law.fixed)}
    known = {**fitted, **fixed}
    return tuple(known[law.equal.get(each.name, each.name)] for each in law.space)


@dataclass(frozen=True, eq=False)
class SolverProgram:
    """One compiled function: theta (R, F), held values, variables and their middles to the law
    (R, n) and its slopes in theta (R, F, n)."""

    rates: Any

    def free(self) -> None:
        """Drop what was compiled."""
        self.rates.clear_cache()


_programs: OrderedDict[tuple[object, ...], SolverProgram] = OrderedDict()


def program(traced: ClosedJaxpr, places: Slots) -> SolverProgram:
    """The program of a traced formula, made once; the least recently used goes first."""
    constants = tuple(np.asarray(each).tobytes() for each in traced.consts)
    key = (str(traced), constants, places)
    found = _programs.pop(key, None) or _program(jaxpr_as_fun(traced), places)
    _programs[key] = found
    while len(_programs) > PROGRAMS:
        _programs.popitem(last=False)[1].free()
    return found


def _program(formula: Callable[..., Any], places: Slots) -> SolverProgram:
    logs = {at: is_log for fitted, at, is_log in places if fitted}

    def model(theta: Any, held: Any, columns: Any) -> tuple[Any, Any]:
        params = [jnp.exp(theta[at]) if logs[at] else theta[at] for at in sorted(logs)]
        values = [params[at] if fitted else held[at] for fitted, at, _ in places]
        fitted_loss = formula(*values, *columns)[0]
        return fitted_loss, fitted_loss

    def rates(theta: Any, held: Any, columns: Any) -> tuple[Any, Any]:
        slopes, fitted_loss = jax.jacfwd(model, has_aux=True)(theta, held, columns)
        return fitted_loss, jnp.moveaxis(slopes, -1, 0)

    said = all(name in os.environ.get("XLA_FLAGS", "") for name in QUICK)
    every = jax.vmap(rates, in_axes=(0, None, None))
    return SolverProgram(jax.jit(every, compiler_options=None if said else QUICK))
