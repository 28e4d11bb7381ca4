"""The settings of an optimizer, and the facts by which a config is checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from scaling.common import plugins
from scaling.common.errors import UserError, nearest
from scaling.parametrization.tables import Family
from scaling.parametrization.weight import Role, Weight

FOLDER = "experiments.training.optimizers"
# Fields of `OptimizerConfig` that some optimizers do not read
NUMBERS = ("beta1", "beta2", "momentum", "epsilon", "adamw_rate")
BITS = {"none": 32.0, "int8": 8.0, "int4": 4.0, "ternary": math.log2(3)}  # of a rounded value
TUNERS = ("adamw", "lion", "sgd", "sgd_nesterov")  # with a form for some numbers alone
MATRICES: tuple[Role, ...] = ("hidden", "query")


@dataclass(frozen=True)
class Optimizer:
    """An optimizer, which a file of `FOLDER` defines as `OPTIMIZER`.

    Attributes:
        chain: the optax transformations from the clipped gradient to the update, made from an
            `UpdateInputs` (experiments/training/update.py). Only its call imports JAX.
        family: of its update.
        reads: those of `NUMBERS` that enter its update.
        copies: float32 values that its state keeps for each parameter, at most.
        matrices: the family of its update of the roles `MATRICES`, where that is another.
        averages: it evaluates its own average of the parameters, at a constant rate.
    """

    chain: Callable[[Any], Sequence[Any]]
    family: Family
    copies: int
    matrices: Family | None = None
    reads: tuple[str, ...] = NUMBERS
    averages: bool = False

    @property
    def families(self) -> tuple[Family, ...]:
        return (self.family,) if self.matrices is None else (self.family, self.matrices)

    def family_of(self, role: Role) -> Family:
        """The family of its update of a weight, by which parametrizations have rules."""
        return self.matrices if self.matrices and role in MATRICES else self.family


@cache
def optimizer(name: str) -> Optimizer:
    """The optimizer of this name; a UserError names the nearest."""
    known = plugins.names(FOLDER)
    if name not in known:
        raise UserError(f"optimizer.name={name}: {nearest(name, known)}")
    found: Optimizer = plugins.find(FOLDER, name, "optimizer", "OPTIMIZER")
    return found


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer and its numbers; each file of `FOLDER` says which of `NUMBERS` it reads.

    The weight decay never enters the gradient's statistics (Loshchilov and Hutter 2019); `decay`
    says whether the peak learning rate multiplies it.
    """

    name: str = "adamw"  # a file of experiments/training/optimizers
    learning_rate: float = 3e-3  # the peak; each weight has this times its rule's factor
    beta1: float = 0.9  # decay of the mean of gradients [per step]
    beta2: float = 0.95  # decay of the mean of their squares [per step]
    momentum: float = 0.95  # of SGD and Muon [per step]
    epsilon: float = 1e-8  # added to the root of the mean square
    adamw_rate: float = 1.0  # of Muon's AdamW part, as a share of learning_rate
    weight_decay: float = 0.1  # share of a weight that a step takes off, times the rate's schedule
    decay: Literal["coupled", "independent"] = "coupled"  # the peak rate multiplies it too, or not
    clip_norm: float = 1.0  # of the gradient; 0: no clipping
    zeros: Literal["trained", "kept"] = "trained"  # of the layers' matrices, as pruning leaves them
    # of the layers' matrices, as the model sees them: by the greatest of each output, or by the
    # mean of a matrix to -1, 0 and 1; the update is of the values before
    rounded: Literal["none", "int8", "int4", "ternary"] = "none"
    # of the steps, over which the rounding grows from nothing; a share of it is mixed in
    rounding_fraction: float = 0.0

    @property
    def kind(self) -> Optimizer:
        return optimizer(self.name)


@dataclass(frozen=True)
class TuningConfig:
    """Trained numbers of a run that begins with another's parameters."""

    # a delta of each matrix of the layers of low rank, or of values drawn by the seed
    method: Literal["all", "low_rank", "support"] = "all"
    rank: int = 4  # of each delta
    values: int = 1024  # on the support, at most all
    among: Literal["layers", "mixer", "feed_forward"] = "layers"  # matrices of these

    def check(self, optimizer: str) -> None:
        """Check that the optimizer has a form for some numbers alone.

        Raises:
            UserError: it has none.
        """
        if self.method != "all" and optimizer not in TUNERS:
            raise UserError(
                f"tuning.method={self.method}: optimizer.name={optimizer} has no form for it; "
                f"choose {', '.join(TUNERS)}"
            )

    def tunes(self, weight: Weight) -> bool:
        """True for a matrix of a layer, of its mixer or its feed-forward where `among` says so."""
        place = "feed_forward" if "/mlp/" in weight.path else "mixer"
        return weight.in_block and weight.role in MATRICES and self.among in ("layers", place)

    def trained(self, weights: Iterable[Weight]) -> int:
        """Numbers that a low rank or a support trains, of a model's weights."""
        own = [each for each in weights if self.tunes(each)]
        if self.method == "low_rank":
            sides = ((each.fan_in, each.fan_out, each.size) for each in own)
            return sum(self.rank * (i + o) * (size // (i * o)) for i, o, size in sides)
        return min(self.values, sum(each.size for each in own))
