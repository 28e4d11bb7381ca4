"""A chain of two laws: the error of a run that is not yet trained, from its predicted loss.

    Err(x) = second( first(x) )

Gadre et al. 2024 predict downstream error this way and compare it with the measurement. The chain
takes the PREDICTED loss, for the run to be predicted has no measured one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.prediction.reach import factors
from analysis.fitting.result import FitResult
from analysis.fitting.types import LEVEL, Prediction
from scaling.common.errors import UserError


def chained(
    first: FitResult, second: FitResult, /, level: float = LEVEL, **variables: ArrayLike
) -> Prediction:
    """`second` at the loss that `first` gives the variables of its law.

    The interval is that of the constants of both, with their resamples paired at random: it holds
    no noise of a run and no error of a law. It is nan where either fit has none. Raises UserError
    where the second law takes more than one variable, or a fit cannot answer.
    """
    if len(second.law.variables) != 1:
        raise UserError(
            f"law '{second.law.name}' takes {', '.join(second.law.variables)}: a chain ends in a "
            "law of one variable, the prediction of the first, such as error"
        )
    (fed,) = second.law.variables
    first.check(variables)
    loss = first.law.predict(first.estimates, **variables)
    second.check({fed: loss})
    value = second.law.predict(second.estimates, **{fed: loss})
    reached = factors({fed: loss}, second.points.variables)
    distance = {**reached, **factors(variables, first.points.variables)}
    if missing := first.no_interval or second.no_interval:
        nothing = np.full_like(value, np.nan)
        return Prediction(value, nothing, nothing, distance, without=missing)
    losses = first.sampled(**variables)
    count = max(len(losses), len(second.samples))
    # in their own order, equal seeds would tie the resamples of the two fits together
    order = np.random.default_rng(0).permutation(count)
    drawn = second.samples[order % len(second.samples)]
    columns = drawn.T.reshape(drawn.shape[1], count, *([1] * value.ndim))
    params = dict(zip(second.law.parameters, columns, strict=True))
    errors = second.law.predict(params, **{fed: losses[np.arange(count) % len(losses)]})
    return Prediction(value, *percentile_interval(errors, level), distance)
