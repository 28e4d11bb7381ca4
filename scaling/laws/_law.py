"""Laws: a formula of named variables and parameters, with its published constants.

A law is written once, against an array namespace `xp` (numpy to predict, jax.numpy to fit):

    Law("mine", form="L = E + A / N^alpha", variables=("params",),
        space=(offset("E"), amplitude("A"), exponent("alpha")),
        formula=lambda xp, p, x: p["E"] + p["A"] * x["params"] ** -p["alpha"])

`additive` makes additive power laws, L(x) = E + sum_k A_k x_k^-alpha_k, from their terms. The
fitter solves them exactly; any other formula is fitted through its derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.common.errors import UserError, nearest

Array = NDArray[np.float64]
Formula = Callable[[Any, Mapping[str, Any], Mapping[str, Any]], Any]
Allocation = Callable[[Mapping[str, ArrayLike], ArrayLike], tuple[Array, Array]]


@dataclass(frozen=True)
class Parameter:
    """One number to fit: its range, and the values that fits start from.

    A `log` parameter is positive and searched by its logarithm. A `linear` one is searched
    directly, and should be of order one. A `solved` one is linear in the law once the others are
    fixed: least squares starts it, or `starts` where that fails.
    """

    name: str
    low: float
    high: float
    starts: tuple[float, ...]
    scale: Literal["log", "linear"] = "log"
    solved: bool = False


def offset(name: str, high: float = math.inf) -> Parameter:
    """An irreducible part, E >= 0, in which the law is linear."""
    return Parameter(name, 0.0, high, (0.5,), scale="linear", solved=True)


def amplitude(name: str, start: float = 1.0) -> Parameter:
    """A positive factor, in which the law is linear."""
    return Parameter(name, 1e-300, 1e300, (start,), solved=True)


def exponent(name: str, starts: tuple[float, ...] = (0.05, 0.15, 0.4, 1.0)) -> Parameter:
    """A positive power."""
    return Parameter(name, 1e-3, 6.0, starts)


def positive(name: str, *starts: float, low: float = 1e-300, high: float = 1e300) -> Parameter:
    """A positive number that the law is not linear in, with the values that fits start from."""
    return Parameter(name, low, high, starts)


def real(
    name: str, *starts: float, low: float = -math.inf, high: float = math.inf, solved: bool = False
) -> Parameter:
    """A number of either sign, of order one."""
    return Parameter(name, low, high, starts or (0.0,), scale="linear", solved=solved)


@dataclass(frozen=True)
class Term:
    """One additive term: amplitude * variable^-exponent."""

    variable: str
    amplitude: str
    exponent: str


@dataclass(frozen=True)
class Convention:
    """Definitions behind the constants of a fit: parameters, data, loss, and base of logarithms."""

    params: str
    tokens: str
    loss: str
    log_base: str = "e"


@dataclass(frozen=True)
class Published:
    """One published set of constants, with the convention and the recipe that they hold under.

    `intervals` are the published ones, at 95 %.
    """

    name: str
    values: Mapping[str, float]
    convention: Convention
    recipe: str
    source: str
    intervals: Mapping[str, tuple[float, float]] | None = None
    covariance: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True, eq=False)
class Law:
    """A functional form. Holds no data and no fitted numbers.

    `formula(xp, p, x)` is the value from parameters p and variables x, by name, in float64.
    `allocation` maps (parameters, FLOPs) to the loss-minimising (params, tokens) at
    C = 6 params tokens, where a closed form is known. `relations` are the ties and fixed values of
    parameters. `terms` and `constant` are set by `additive` alone.
    """

    name: str
    form: str
    variables: tuple[str, ...]
    space: tuple[Parameter, ...]
    formula: Formula
    units: str = "as the columns"
    source: str = "this study"
    allocation: Allocation | None = None
    published: tuple[Published, ...] = ()
    relations: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    constant: str | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, in the order of the fitter."""
        return tuple(each.name for each in self.space)

    def predict(self, params: Mapping[str, ArrayLike], /, **variables: ArrayLike) -> Array:
        """L(x), float64; parameters and variables broadcast against each other."""
        require(self.parameters, params, f"parameters of law '{self.name}'")
        require(self.variables, variables, f"variables of law '{self.name}'")
        return np.asarray(self.formula(np, _float64(params), _float64(variables)), np.float64)

    def optimal(self, params: Mapping[str, ArrayLike], flops: ArrayLike) -> tuple[Array, Array]:
        """The (params, tokens) of least loss at C = 6 params tokens = `flops`: in closed form where
        the law has one, else by a search over params."""
        require(self.parameters, params, f"parameters of law '{self.name}'")
        if self.allocation is not None:
            return self.allocation(params, flops)
        if set(self.variables) != {"params", "tokens"}:
            raise UserError(
                f"law '{self.name}' has no allocation of compute to size and data; "
                "use a law of params and tokens such as chinchilla"
            )
        return self._search(_float64(params), np.asarray(flops, np.float64) / 6)

    def _search(self, params: Mapping[str, Array], product: Array) -> tuple[Array, Array]:
        """Golden section on ln N, for every entry at once, from one parameter to one token."""
        shape = np.broadcast_shapes(product.shape, *(value.shape for value in params.values()))
        low, high = np.zeros(shape), np.broadcast_to(np.log(product), shape)
        golden = (math.sqrt(5) - 1) / 2

        def loss(log_params: Array) -> Array:
            size = np.exp(log_params)
            return self.predict(params, params=size, tokens=product / size)

        for _ in range(80):
            left, right = high - golden * (high - low), low + golden * (high - low)
            falls = loss(left) > loss(right)
            low, high = np.where(falls, left, low), np.where(falls, high, right)
        size = np.exp((low + high) / 2)
        return size, product / size

    def constants(self, name: str) -> Published:
        """One published set by name."""
        known = {entry.name: entry for entry in self.published}
        if name not in known:
            raise UserError(f"law '{self.name}' has no constants '{name}': {nearest(name, known)}")
        return known[name]

    def given(self, **values: float) -> Law:
        """The law with some parameters held at known values: they are then not fitted."""
        return self._narrowed(
            values, tuple(f"{name} = {value:g}" for name, value in values.items()), values, {}
        )

    def tied(self, **equal: str) -> Law:
        """The law with parameters tied to others: tied(beta="alpha") fits one exponent."""
        for name in equal.values():
            self._known(name)
        return self._narrowed(equal, tuple(f"{a} = {b}" for a, b in equal.items()), {}, equal)

    def _narrowed(
        self,
        names: Mapping[str, object],
        relations: tuple[str, ...],
        values: Mapping[str, float],
        equal: Mapping[str, str],
    ) -> Law:
        for name in names:
            self._known(name)
        whole, allocation = self.formula, self.allocation

        def filled(p: Mapping[str, Any]) -> dict[str, Any]:
            return {**p, **values, **{name: p[other] for name, other in equal.items()}}

        return replace(
            self,
            space=tuple(each for each in self.space if each.name not in names),
            formula=lambda xp, p, x: whole(xp, filled(p), x),
            allocation=None if allocation is None else lambda p, c: allocation(filled(p), c),
            relations=(*self.relations, *relations),
            terms=(),
            constant=None,
        )

    def _known(self, name: str) -> None:
        if name not in self.parameters:
            raise UserError(
                f"law '{self.name}' has no parameter '{name}': {nearest(name, self.parameters)}"
            )


def additive(
    name: str,
    *,
    form: str,
    units: str,
    source: str,
    terms: tuple[Term, ...],
    constant: str | None = None,
    allocation: Allocation | None = None,
    published: tuple[Published, ...] = (),
) -> Law:
    """L(x) = E + sum_k A_k x_k^-alpha_k, without E where there is no `constant`. Parameters stand
    in the order that the exact fitter uses: constant, amplitudes, exponents."""

    def formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
        total = 0.0 if constant is None else p[constant]
        for term in terms:
            total = total + p[term.amplitude] * xp.exp(-p[term.exponent] * xp.log(x[term.variable]))
        return total

    return Law(
        name=name,
        form=form,
        variables=tuple(term.variable for term in terms),
        space=(
            *(() if constant is None else (offset(constant),)),
            *(amplitude(term.amplitude) for term in terms),
            *(exponent(term.exponent) for term in terms),
        ),
        formula=formula,
        units=units,
        source=source,
        allocation=allocation,
        published=published,
        terms=terms,
        constant=constant,
    )


def require(wanted: tuple[str, ...], given: Mapping[str, object], what: str) -> None:
    """Exactly the wanted names, else one line that says which is wrong."""
    for name in given:
        if name not in wanted:
            raise UserError(f"{what}: unknown '{name}'; {nearest(name, wanted)}")
    for name in wanted:
        if name not in given:
            raise UserError(f"{what}: '{name}' is missing; needed: {', '.join(wanted)}")


def _float64(values: Mapping[str, ArrayLike]) -> dict[str, Array]:
    return {name: np.asarray(value, np.float64) for name, value in values.items()}
