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
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.common.errors import UserError, nearest
from scaling.laws._values import float64, require

Array = NDArray[np.float64]
Formula = Callable[[Any, Mapping[str, Any], Mapping[str, Any]], Any]
Within = tuple[str, float, float] | None
Allocation = Callable[[Mapping[str, ArrayLike], ArrayLike], tuple[Array, Array]]


@dataclass(frozen=True)
class Parameter:
    """One number to fit: its range, and the values that fits start from.

    A `log` parameter is positive and searched by its logarithm. A `linear` one is searched
    directly, and should be of order one. A `solved` one is linear in the law once the others are
    fixed: least squares starts it, or `starts` where that fails. No value of the law lies below
    its `floor`. One that is `within` (column, a, b) lies from a times the least to b times the
    largest value of a variable or of the "loss", and its starts are shares of the way between.
    A `log` one is searched and started in its `unit(xp, p, x)`, of other parameters and of
    geometric means of the variables and the "loss": a good one makes curved valleys straight.
    A criterion of choice counts one as `counted` constants: more than one where a search among the
    rows finds noise to fit, as that for the place of a break does.
    """

    name: str
    low: float
    high: float
    starts: tuple[float, ...]
    scale: Literal["log", "linear"] = "log"
    solved: bool = False
    floor: bool = False
    within: Within = None
    unit: Formula | None = None
    counted: int = 1

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.scale == "log" and not self.low > 0):
            needed = "0 < low < high" if self.scale == "log" else "low < high"
            raise UserError(
                f"parameter '{self.name}': low={self.low}, high={self.high}; need {needed}"
            )
        for start in self.starts:
            if not self.low <= start <= self.high:
                ends = f"{self.low:g} to {self.high:g}"
                raise UserError(f"parameter '{self.name}': start {start} is outside {ends}")

    def ends(self, columns: Mapping[str, Array]) -> tuple[float, float]:
        """The range to search, given the rows."""
        if self.within is None:
            return self.low, self.high
        column, least, most = self.within
        low, high = float(columns[column].min()), float(columns[column].max())
        return max(self.low, least * low), min(self.high, most * high)

    def admits(self, value: float) -> bool:
        """True for a value that it can have; fits search a positive one within narrower ends."""
        return value > 0 if self.scale == "log" else self.low <= value <= self.high


def offset(name: str, high: float = math.inf) -> Parameter:
    """An irreducible part, E >= 0, in which the law is linear and below which it never falls."""
    start = (min(0.5, high / 2),)
    return Parameter(name, 0.0, high, start, scale="linear", solved=True, floor=True)


def amplitude(name: str, start: float = 1.0, unit: Formula | None = None) -> Parameter:
    """A positive factor, in which the law is linear."""
    return Parameter(name, 1e-300, 1e300, _starts(name, (start,)), solved=True, unit=unit)


def exponent(name: str, *starts: float | tuple[float, ...]) -> Parameter:
    """A positive power, with the values that fits start from."""
    return Parameter(name, 1e-3, 6.0, _starts(name, starts) or (0.05, 0.15, 0.4, 1.0))


def positive(
    name: str, *starts: float | tuple[float, ...], low: float = 1e-300, high: float = 1e300,
    within: Within = None, unit: Formula | None = None, counted: int = 1,
) -> Parameter:  # fmt: skip
    """A positive number that the law is not linear in, with the values that fits start from."""
    middle = 1.0 if low <= 1.0 <= high else math.sqrt(low) * math.sqrt(high)
    chosen = _starts(name, starts) or (middle,)
    return Parameter(name, low, high, chosen, within=within, unit=unit, counted=counted)


def real(
    name: str, *starts: float | tuple[float, ...], low: float = -math.inf, high: float = math.inf,
    solved: bool = False, within: Within = None,
) -> Parameter:  # fmt: skip
    """A number of either sign, of order one."""
    chosen = _starts(name, starts) or (min(max(0.0, low), high),)
    return Parameter(name, low, high, chosen, scale="linear", solved=solved, within=within)


def _starts(name: str, starts: tuple[float | tuple[float, ...], ...]) -> tuple[float, ...]:
    """Starts as numbers, given one by one or as one tuple."""
    try:
        return tuple(float(at) for each in starts for at in np.atleast_1d(np.asarray(each)))
    except (TypeError, ValueError) as error:
        raise UserError(f"parameter '{name}': starts {starts} must be numbers") from error


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
    """One published set of constants, with the convention and the recipe that they hold under, and
    the published `intervals` at 95 %."""

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

    `formula(xp, p, x)` is the value from all parameters p and the variables x, by name, in float64.
    `allocation` maps (parameters, FLOPs) to the loss-minimising (params, tokens) at
    C = 6 params tokens, where a closed form is known. `columns` name the definition of a variable
    that the law counts by, such as params_nonembedding. `quoted` numbers were published without the
    rest of the constants, so they predict nothing. `terms` are set by `additive` alone. `fixed` and
    `equal` are the relations that `given` and `tied` add: these parameters are not fitted."""

    name: str
    form: str
    variables: tuple[str, ...]
    space: tuple[Parameter, ...]
    formula: Formula
    units: str = "as the columns"
    source: str = "this study"
    allocation: Allocation | None = None
    published: tuple[Published, ...] = ()
    quoted: tuple[Published, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    fixed: Mapping[str, float] = field(default_factory=dict)
    equal: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = [each for each in self.space if isinstance(each, Parameter)]
        of = [each.within[0] for each in own if each.within]
        names = isinstance(self.variables, str) or not all(self.variables)
        wrong = {
            "variables must be a tuple of names": names,
            "space must be a tuple of parameters": not own or len(own) < len(self.space),
            "two of its parameters have one name": len({each.name for each in own}) < len(own),
            "two of its variables have one name": len(set(self.variables)) < len(self.variables),
            "within needs a variable or the loss, and none of both names": any(
                (each == "loss") == (each in self.variables) for each in of
            ),
            "formula must be a function of (xp, p, x)": not callable(self.formula),
        }
        for said, true in wrong.items():
            if true:
                raise UserError(f"law '{self.name}': {said}")

    @property
    def free(self) -> tuple[Parameter, ...]:
        """The parameters to fit."""
        return tuple(p for p in self.space if p.name not in self.fixed and p.name not in self.equal)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters to fit, in the order of the fitter."""
        return tuple(each.name for each in self.free)

    @property
    def counted(self) -> int:
        """The number of constants to fit, as a criterion of choice counts them."""
        return sum(each.counted for each in self.free)

    @property
    def constant(self) -> str | None:
        """The irreducible part: the parameter that is a floor of the law."""
        return next((each.name for each in self.space if each.floor), None)

    @property
    def relations(self) -> tuple[str, ...]:
        """The fixed values and ties of parameters, in words."""
        known = tuple(f"{name} = {value:g}" for name, value in self.fixed.items())
        return known + tuple(f"{name} = {other}" for name, other in self.equal.items())

    def filled(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters of the formula, from those to fit."""
        known = {**params, **self.fixed}
        return {**known, **{name: known[other] for name, other in self.equal.items()}}

    def predict(self, params: Mapping[str, ArrayLike], /, **variables: ArrayLike) -> Array:
        """L(x), float64; parameters and variables broadcast against each other."""
        values = self._checked(params)
        require(self.variables, variables, f"variables of law '{self.name}'")
        return np.asarray(self.formula(np, values, float64(variables)), np.float64)

    def optimal(self, params: Mapping[str, ArrayLike], flops: ArrayLike) -> tuple[Array, Array]:
        """The (params, tokens) of least loss at C = 6 params tokens = `flops`: in closed form where
        the law has one, else by a search over params."""
        values, budget = self._checked(params), float64({"flops": flops})["flops"]
        if self.allocation is not None:
            return self.allocation(values, budget)
        if set(self.variables) != {"params", "tokens"}:
            raise UserError(
                f"law '{self.name}' has no allocation of compute to size and data; "
                "use a law of params and tokens such as chinchilla"
            )
        return self._search(values, budget / 6)

    def _search(self, params: Mapping[str, Array], product: Array) -> tuple[Array, Array]:
        """Golden section on ln N, for every entry at once, from one parameter to one token."""
        shape = np.broadcast_shapes(product.shape, *(value.shape for value in params.values()))
        low, high = np.zeros(shape), np.broadcast_to(np.log(product), shape)
        golden = (math.sqrt(5) - 1) / 2

        def loss(log_params: Array) -> Array:
            size = np.exp(log_params)
            return self.formula(np, params, {"params": size, "tokens": product / size})

        for _ in range(80):
            left, right = high - golden * (high - low), low + golden * (high - low)
            falls = loss(left) > loss(right)
            low, high = np.where(falls, left, low), np.where(falls, high, right)
        return (size := np.exp((low + high) / 2)), product / size

    def constants(self, name: str) -> Published:
        """One published set by name."""
        known = {entry.name: entry for entry in self.published}
        if name not in known:
            raise UserError(f"law '{self.name}' has no constants '{name}': {nearest(name, known)}")
        return known[name]

    def given(self, **values: float) -> Law:
        """The law with some parameters held at known values: they are then not fitted.

        Raises:
            UserError: a value is not finite, or none that its parameter can have.
        """
        for name, value in values.items():
            each = self._known(name)
            if not isinstance(value, int | float | np.number) or not math.isfinite(value):
                raise UserError(f"law '{self.name}': {name} = {value!r}; give a finite number")
            if not each.admits(value):
                needed = "above 0" if each.scale == "log" else f"{each.low:g} to {each.high:g}"
                raise UserError(
                    f"law '{self.name}': {name} = {value:g} is no value of this parameter; "
                    f"it lies {needed}"
                )
        known = {name: float(value) for name, value in values.items()}
        known |= {name: known[other] for name, other in self.equal.items() if other in known}
        ties = {name: other for name, other in self.equal.items() if name not in known}
        return replace(self, fixed={**self.fixed, **known}, equal=ties)

    def tied(self, **equal: str) -> Law:
        """The law with parameters tied to others: tied(beta="alpha") fits one exponent.

        A tie to a parameter that is fixed, or tied itself, is one to what that follows.
        """
        law = self
        for name, other in equal.items():
            law._known(name)
            known = tuple(each.name for each in law.space)
            if other not in known:
                raise UserError(
                    f"law '{law.name}' has no parameter '{other}': {nearest(other, known)}"
                )
            end = law.equal.get(other, other)
            if end == name:
                raise UserError(f"law '{law.name}': {name} = {other} ties {name} to itself")
            if end in law.fixed:
                law = law.given(**{name: law.fixed[end]})
                continue
            follow = {at: end if to == name else to for at, to in law.equal.items()}
            law = replace(law, equal={**follow, name: end})
        return law

    def _known(self, name: str) -> Parameter:
        """A parameter that is still free."""
        free = {each.name: each for each in self.free}
        if name in free:
            return free[name]
        if name in self.fixed or name in self.equal:
            said = self.fixed.get(name, self.equal.get(name))
            raise UserError(f"law '{self.name}': {name} = {said} already, so it takes no other")
        raise UserError(f"law '{self.name}' has no parameter '{name}': {nearest(name, free)}")

    def _checked(self, params: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """All parameters as arrays, from those to fit; ones that follow may be given as well."""
        follow = {*self.fixed, *self.equal}
        free = {name: value for name, value in params.items() if name not in follow}
        require(self.parameters, free, f"parameters of law '{self.name}'")
        whole = float64(self.filled(free))
        for name in follow & set(params):
            if not np.array_equal(whole[name], np.asarray(params[name], np.float64), True):
                raise UserError(
                    f"parameters of law '{self.name}': {name} = {params[name]!r} is against its "
                    f"relations, {', '.join(self.relations)}"
                )
        return whole


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
    columns: Mapping[str, str] | None = None,
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
        columns=columns or {},
        terms=terms,
    )
