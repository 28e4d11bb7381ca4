"""The third entry of the ledger: FLOPs of matrix products counted in a traced program.

XLA's own ``cost_analysis`` counts the body of a loop once; here a scan counts once per trip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core

from scaling.common.errors import UserError


def matmul_flops(function: Callable[..., Any], *args: Any) -> int:
    """FLOPs (two per multiply-add) of every matrix product that `function(*args)` performs.

    Of a grouped product (``ragged_dot``) each row counts with its own group alone.
    A loop with a trip count known at trace time counts once per trip, and a branch as its most
    expensive side. A loop of unknown length is refused: its FLOPs are a property of the data.
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr)


def _count(jaxpr: core.Jaxpr) -> int:
    return sum(_count_equation(equation) for equation in jaxpr.eqns)


def _count_equation(equation: core.JaxprEqn) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left, out = _shape(equation.invars[0]), _shape(equation.outvars[0])
        return 2 * math.prod(out) * math.prod(left[axis] for axis in contracted)
    if name == "ragged_dot_general":
        dims = params["ragged_dot_dimension_numbers"]
        (contracted, _), _ = dims.dot_dimension_numbers
        left, out = _shape(equation.invars[0]), _shape(equation.outvars[0])
        # a sum over the rows of each group gives one product for all groups together
        groups = 1 if dims.rhs_group_dimensions else _shape(equation.invars[2])[-1]
        return 2 * math.prod(out) * math.prod(left[axis] for axis in contracted) // groups
    if name == "scan":
        return params["length"] * _count(params["jaxpr"].jaxpr)
    if name == "while":
        if _count(params["body_jaxpr"].jaxpr) or _count(params["cond_jaxpr"].jaxpr):
            raise UserError("matmul_flops: a while loop holds products; count one trip of it")
        return 0
    if name == "cond":
        return max(_count(branch.jaxpr) for branch in params["branches"])
    return sum(_count(inner) for value in params.values() for inner in _jaxprs(value))


def _shape(variable: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = variable.aval.shape
    return shape


def _jaxprs(value: Any) -> list[core.Jaxpr]:
    if isinstance(value, core.ClosedJaxpr):
        return [value.jaxpr]
    return [value] if isinstance(value, core.Jaxpr) else []
