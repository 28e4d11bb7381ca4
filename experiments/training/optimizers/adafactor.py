"""Adafactor (Shazeer and Stern 2018), without momentum. Reads none of the numbers.

    u = g / sqrt(row column / mean(row)), clipped to RMS 1

Its state is a row and a column for each matrix: _adafactor.py has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.config.optimizer import Optimizer

if TYPE_CHECKING:
    from experiments.training.update import UpdateInputs


def chain(s: UpdateInputs) -> Sequence[Any]:
    from experiments.training.optimizers._adafactor import adafactor
    from experiments.training.update import descend

    return adafactor(s.weights), descend(s)


OPTIMIZER = Optimizer(chain, family="normalised", copies=0, reads=())
