"""Plans of one run from a fit: a fixed size or ratio, a loss to reach, and tokens to serve.

    fixed N        D = C / 6 N
    fixed D/N      N = sqrt(C / 6 r)
    a loss         the least C with L(N*(C), D*(C)) = L
    one loss       all (N, D) with L(N, D) = L, about the cheapest
    serving        min L(N, D)  over  6 N D + 2 N T = C,   T tokens to be served
    a horizon      how far twice the compute surely buys the loss of the law

The loss of every plan has the interval of a new run. Sizes that a search finds have the interval of
the constants, over the resamples. C counts training alone but for serving (Sardana et al. 2024,
arXiv 2401.00448, counts 2 N FLOPs for each token served).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.prediction.extrapolation import TAU
from analysis.fitting.prediction.reach import one_number
from analysis.fitting.result import FitResult, check_fit
from analysis.fitting.types import LEVEL, Prediction
from analysis.inference.compute_gain import spending
from analysis.tables.points import Array
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

WARNED, REFUSED = 100.0, 10_000.0  # times the largest compute of a fitted row
CURVE = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)  # sizes of one loss, over the cheapest
STEPS = 80  # of a golden section, to rounding
OCTAVE = 8  # budgets for each doubling of a horizon


@dataclass(frozen=True)
class RunPlan:
    """A run: its compute in training, params and tokens with their intervals, and its loss.

    Ends are nan where a number is given, or without resamples. `served` are tokens to be served,
    `whole` the FLOPs of both.
    """

    flops: Ranged
    params: Ranged
    tokens: Ranged
    prediction: Prediction
    served: float = 0.0

    @property
    def whole(self) -> float:
        """FLOPs of training and of serving."""
        return self.flops[0] + 2 * self.params[0] * self.served

    @property
    def reach(self) -> float:
        """Its compute over the largest of a fitted row, 1 inside."""
        return float(self.prediction.beyond["compute"])

    @property
    def loss(self) -> Ranged:
        said = self.prediction
        return float(said.value), float(said.low), float(said.high)


def at_size(result: FitResult, flops: float, params: float, level: float = LEVEL) -> RunPlan:
    """A run of given compute and size."""
    flops, params = one_number("flops", flops), one_number("params", params)
    return _given(result, flops, params, flops / (6 * params), level)


def at_ratio(result: FitResult, flops: float, ratio: float, level: float = LEVEL) -> RunPlan:
    """A run of given compute and tokens per parameter."""
    flops, ratio = one_number("flops", flops), one_number("ratio", ratio)
    params = (flops / (6 * ratio)) ** 0.5
    return _given(result, flops, params, ratio * params, level)


def to_loss(result: FitResult, loss: float, level: float = LEVEL) -> RunPlan:
    """The cheapest run that reaches a loss.

    Raises:
        UserError: the law never reaches it.
    """
    loss = one_number("loss", loss)
    value, low, high = spending(result, loss, level)
    if not 0 < value < np.inf:
        when = "has it at any" if value == 0 else "never reaches it, at no"
        raise UserError(f"loss {loss:g}: this law {when} budget")
    best = result.optimal(value, level)
    params, tokens = (_ends(each) for each in (best.params, best.tokens))
    return RunPlan((value, low, high), params, tokens, best.prediction)


def iso_loss(result: FitResult, loss: float, level: float = LEVEL) -> list[RunPlan]:
    """Runs of one loss from a quarter to four times the cheapest size; sizes that never reach it
    are left out."""
    loss = one_number("loss", loss)
    best = to_loss(result, loss, level)
    found = []
    for factor in CURVE:
        params = factor * best.params[0]
        tokens = _tokens_to(result, params, loss)
        if np.isfinite(tokens):
            found.append(_given(result, 6 * params * tokens, params, tokens, level))
    return found


def serving(result: FitResult, flops: float, tokens: float, level: float = LEVEL) -> RunPlan:
    """The run of least loss whose training and serving of `tokens` cost `flops` together.

    Raises:
        UserError: the rows do not determine it, or serving alone costs more.
    """
    check_fit(result)
    flops, tokens = one_number("flops", flops), one_number("tokens", tokens)
    result.split(flops)  # refuses what the rows do not determine
    if flops < 6 + 2 * tokens:
        raise UserError(f"tokens={tokens:g}: {flops:g} FLOPs serve them of no size")
    estimates = {name: np.array([value]) for name, value in result.estimates.items()}
    params = float(_served(result, estimates, flops, tokens)[0])
    trained = (flops - 2 * params * tokens) / (6 * params)
    sizes = data = (float("nan"), float("nan"))
    if result.has_intervals:
        drawn = dict(zip(result.law.parameters, result.samples.T, strict=True))
        each = _served(result, drawn, flops, tokens)
        sizes = _percentiles(each, level)
        data = _percentiles((flops - 2 * each * tokens) / (6 * each), level)
    spent = 6 * params * trained
    said = result.predict(level, params=params, tokens=trained)
    return RunPlan(
        flops=(spent, float("nan"), float("nan")),
        params=(params, *sizes),
        tokens=(trained, *data),
        prediction=said,
        served=tokens,
    )


def horizon(result: FitResult, level: float = LEVEL) -> float:
    """The compute up to which twice as much surely buys the loss that the law predicts.

    The largest C, on and beyond the rows, with high(L(2 C)) <= L(C) up to it: L along the frontier,
    and `high` the upper end of a new run. 0: not even at the largest row. Jain et al. 2023, arXiv
    2303.01598, bound the data that a learning curve needs likewise.
    """
    check_fit(result)
    budgets = result.budgets.max() * 2.0 ** (np.arange(np.log2(2 * REFUSED) * OCTAVE) / OCTAVE)
    frontier = result.optimal(budgets, level).prediction
    sure = frontier.high[OCTAVE:] <= frontier.value[:-OCTAVE]
    reached = len(sure) if sure.all() else int(np.argmin(sure))
    return float(budgets[reached - 1]) if reached else 0.0


def growth(result: FitResult) -> str:
    """The growth of the law's error per decade, as rolling the fit measured it, in words."""
    found = result.extrapolation
    if not found.origins:
        return "no rung could be rolled, so its growth per decade was not measured"
    per_decade = found.scale * np.hypot(TAU, found.drift_sd) * found.trend * np.log(10)
    return (
        f"the error of the law grows by about {100 * per_decade:.2g} % of the loss per decade "
        f"(sd, {found.origins} rungs rolled)"
    )


def _given(result: FitResult, flops: float, params: float, tokens: float, level: float) -> RunPlan:
    check_fit(result)
    result.split(flops)  # C = 6 N D must be the compute of these rows
    said = result.predict(level, params=params, tokens=tokens)
    nothing = (float("nan"), float("nan"))
    return RunPlan((flops, *nothing), (params, *nothing), (tokens, *nothing), said)


def _percentiles(values: Array, level: float) -> tuple[float, float]:
    low, high = percentile_interval(values, level)
    return float(low), float(high)


def _ends(part: tuple[Array, Array, Array]) -> Ranged:
    value, low, high = map(float, part)
    return value, low, high


def _tokens_to(result: FitResult, params: float, loss: float) -> float:
    """The tokens at which a size reaches a loss, by bisection of ln D; inf where it never does."""
    low, high = 0.0, np.log(1e40)
    law, found = result.law, result.estimates
    if law.predict(found, params=params, tokens=np.exp(high)) > loss:
        return float("inf")
    for _ in range(STEPS):
        middle = (low + high) / 2
        above = law.predict(found, params=params, tokens=np.exp(middle)) > loss
        low, high = (middle, high) if above else (low, middle)
    return float(np.exp(high))


def _served(
    result: FitResult, constants: Mapping[str, Array], flops: float, tokens: float
) -> Array:
    """The size of least loss for each set of constants, by golden section of ln N: from one
    parameter to the size that the budget serves and trains on one token."""
    golden = (5**0.5 - 1) / 2
    shape = next(iter(constants.values())).shape
    low, high = np.zeros(shape), np.full(shape, np.log(flops / (6 + 2 * tokens)))

    def loss(log_params: Array) -> Array:
        params = np.exp(log_params)
        data = (flops - 2 * params * tokens) / (6 * params)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return result.law.predict(constants, params=params, tokens=data)

    for _ in range(STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        falls = loss(left) > loss(right)
        low, high = np.where(falls, left, low), np.where(falls, high, right)
    return np.exp((low + high) / 2)
