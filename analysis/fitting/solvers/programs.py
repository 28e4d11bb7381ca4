"""Compiled programs of formulas: one per form and bucket of rows, in a bounded cache.

Two laws have one form where JAX traces their formulas to the same expression, whatever objects they
are and whatever values their held parameters have. Tables are filled up to buckets of rows with
rows of no weight, so that tables of about one length share a program. A process that fits a
thousand tables of ten laws compiles some tens of programs; the oldest are freed beyond `PROGRAMS`.
"""

from __future__ import annotations

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
SMALLEST = 8  # rows; buckets are 8, 12, 16, 24, 32, 48, ...

Slots = tuple[tuple[bool, int, bool], ...]
"""Per parameter of a formula: True where it is fitted, its place, and whether theta is its log."""


@contextmanager
def float64() -> Iterator[None]:
    """Context of double precision on the CPU."""
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        yield


def bucket(rows: int) -> int:
    """The least of 8, 12, 16, 24, 32, 48, ... that holds the rows."""
    whole = SMALLEST
    while whole < rows:
        whole *= 2
    return whole * 3 // 4 if whole > SMALLEST and rows <= whole * 3 // 4 else whole


def trace(law: Law, variables: Mapping[str, Array], rows: int) -> ClosedJaxpr:
    """The formula as JAX sees it, of the parameters in the order of the law and of the variables at
    this many rows."""
    names = [each.name for each in law.space]

    def formula(values: Sequence[Any], columns: Sequence[Any]) -> Any:
        params, x = zip(names, values, strict=True), zip(law.variables, columns, strict=True)
        return law.formula(jnp, dict(params), dict(x))

    columns = [
        jax.ShapeDtypeStruct((rows, *np.shape(variables[name])[1:]), np.float64)
        for name in law.variables
    ]
    with float64():
        return jax.make_jaxpr(formula)([np.float64(1)] * len(names), columns)


def slots(law: Law) -> Slots:
    """Places of the parameters of the formula: among those fitted, or those held."""
    fitted = {each.name: (True, at, each.scale == "log") for at, each in enumerate(law.free)}
    fixed = {name: (False, at, False) for at, name in enumerate(law.fixed)}
    known = {**fitted, **fixed}
    return tuple(known[law.equal.get(each.name, each.name)] for each in law.space)


@dataclass(frozen=True, eq=False)
class SolverProgram:
    """Functions of theta (R, F), held values, weights (R, n), variables, y (n,) and delta."""

    derivatives: Any  # f (R,), gradient (R, F), Hessian (R, F, F)
    objective: Any  # f (R,)
    models: Any  # the law at rows of parameters (R, F): (R, n)

    def free(self) -> None:
        """Drop what was compiled."""
        for each in (self.derivatives, self.objective, self.models):
            each.clear_cache()


_programs: OrderedDict[tuple[object, ...], SolverProgram] = OrderedDict()


def program(traced: ClosedJaxpr, places: Slots, log: bool) -> SolverProgram:
    """The program of a traced formula, made once; the least recently used goes first."""
    constants = tuple(np.asarray(each).tobytes() for each in traced.consts)
    key = (str(traced), constants, places, log)
    found = _programs.pop(key, None) or _program(jaxpr_as_fun(traced), places, log)
    _programs[key] = found
    while len(_programs) > PROGRAMS:
        _programs.popitem(last=False)[1].free()
    return found


def _program(formula: Callable[..., Any], places: Slots, log: bool) -> SolverProgram:
    def model(params: Any, held: Any, variables: Any) -> Any:
        values = [params[at] if fitted else held[at] for fitted, at, _ in places]
        return formula(*values, *variables)[0]

    def in_units(theta: Any) -> list[Any]:
        logs = {at: is_log for fitted, at, is_log in places if fitted}
        return [jnp.exp(theta[at]) if logs[at] else theta[at] for at in sorted(logs)]

    def value(theta: Any, weights: Any, held: Any, variables: Any, y: Any, delta: Any) -> Any:
        fitted = model(in_units(theta), held, variables)
        residual = jnp.log(fitted) - jnp.log(y) if log else fitted - y
        psi = jnp.clip(residual, -delta, delta)
        return jnp.sum(weights * psi * (residual - psi / 2))

    def derivatives(theta: Any, weights: Any, *others: Any) -> Any:
        first = jax.value_and_grad(value)(theta, weights, *others)
        return *first, jax.hessian(value)(theta, weights, *others)

    data = (None,) * 4
    return SolverProgram(
        jax.jit(jax.vmap(derivatives, in_axes=(0, 0, *data))),
        jax.jit(jax.vmap(value, in_axes=(0, 0, *data))),
        jax.jit(jax.vmap(model, in_axes=(0, None, None))),
    )
