"""What a law is: a form, its variables and parameters, and what is published about it.

The laws here are additive power laws of positive variables x_k,

    L(x) = E + sum_k A_k x_k^-alpha_k        (E absent where the law has no offset)

which the shared fitter solves exactly: linear in E and A_k, nonlinear in the exponents alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.errors import UserError, nearest

Array = NDArray[np.float64]
Allocation = Callable[[Mapping[str, ArrayLike], ArrayLike], tuple[Array, Array]]


@dataclass(frozen=True)
class Term:
    """One additive term: amplitude * variable^-exponent."""

    variable: str
    amplitude: str
    exponent: str


@dataclass(frozen=True)
class Published:
    """One published set of constants. They hold only with their own conventions, so they travel
    together: how parameters are counted, what a unit of data and of loss is, and by what recipe.
    """

    name: str
    values: Mapping[str, float]
    params_convention: str
    tokens_unit: str
    loss_unit: str
    log_base: str
    recipe: str
    source: str


@dataclass(frozen=True)
class Law:
    """A functional form. Holds no data and no fitted numbers.

    `allocation` maps (parameters, FLOPs) to the loss-minimising (params, tokens) at
    C = 6 params tokens, where a closed form is known.
    """

    name: str
    form: str
    units: str
    source: str
    terms: tuple[Term, ...]
    offset: str | None = None
    allocation: Allocation | None = None
    published: tuple[Published, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(term.variable for term in self.terms)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Offset first, then amplitudes, then exponents: the order that the fitter uses."""
        head = () if self.offset is None else (self.offset,)
        return (
            *head,
            *(term.amplitude for term in self.terms),
            *(term.exponent for term in self.terms),
        )

    def predict(self, params: Mapping[str, ArrayLike], /, **variables: ArrayLike) -> Array:
        """L(x), float64; parameters and variables broadcast against each other."""
        require(self.parameters, params, f"parameters of law '{self.name}'")
        require(self.variables, variables, f"variables of law '{self.name}'")
        total = sum(
            (
                _f64(params[term.amplitude])
                * np.exp(-_f64(params[term.exponent]) * np.log(_f64(variables[term.variable])))
                for term in self.terms
            ),
            start=np.float64(0.0),
        )
        return np.asarray(total if self.offset is None else total + _f64(params[self.offset]))

    def optimal(self, params: Mapping[str, ArrayLike], flops: ArrayLike) -> tuple[Array, Array]:
        """The (params, tokens) of least loss at C = 6 params tokens = `flops`."""
        if self.allocation is None:
            raise UserError(
                f"law '{self.name}' has no allocation of compute to size and data; "
                "use a law of params and tokens such as chinchilla"
            )
        require(self.parameters, params, f"parameters of law '{self.name}'")
        return self.allocation(params, flops)

    def constants(self, name: str) -> Published:
        """One published set by name."""
        known = {entry.name: entry for entry in self.published}
        if name not in known:
            raise UserError(f"law '{self.name}' has no constants '{name}': {nearest(name, known)}")
        return known[name]


def require(wanted: tuple[str, ...], given: Mapping[str, object], what: str) -> None:
    """Exactly the wanted names, else one line that says which is wrong."""
    for name in given:
        if name not in wanted:
            raise UserError(f"{what}: unknown '{name}'; {nearest(name, wanted)}")
    for name in wanted:
        if name not in given:
            raise UserError(f"{what}: '{name}' is missing; needed: {', '.join(wanted)}")


def _f64(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=np.float64)
