"""Which optimizer a run has, what it reads, and which rules of the parametrization it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from scaling.parametrization.tables import Family
from scaling.parametrization.weight import Role

Name = Literal[
    "adamw",
    "sgd",
    "sgd_nesterov",
    "lion",
    "adafactor",
    "muon",
    "schedule_free_sgd",
    "schedule_free_adamw",
]

MATRICES: tuple[Role, ...] = ("hidden", "query")


@dataclass(frozen=True)
class Kind:
    """What holds of every run with an optimizer, known without JAX.

    Attributes:
        family: of its update.
        copies: float32 values that its state keeps for each parameter, at most.
        matrices: the family of its update of the roles `MATRICES`, where that is another.
        averages: it evaluates an average of its own, at a constant rate.
    """

    family: Family
    copies: int
    matrices: Family | None = None
    averages: bool = False

    @property
    def families(self) -> tuple[Family, ...]:
        return (self.family,) if self.matrices is None else (self.family, self.matrices)

    def family_of(self, role: Role) -> Family:
        """Of its update of a weight; the parametrizations have rules by it."""
        return self.matrices if self.matrices and role in MATRICES else self.family


KINDS: Mapping[Name, Kind] = {
    "adamw": Kind("normalised", copies=2),
    "sgd": Kind("gradient", copies=1),
    "sgd_nesterov": Kind("gradient", copies=1),
    "lion": Kind("normalised", copies=1),
    "adafactor": Kind("normalised", copies=0),  # a row and a column for each matrix
    "muon": Kind("normalised", copies=2, matrices="orthogonal"),
    "schedule_free_sgd": Kind("gradient", copies=1, averages=True),
    "schedule_free_adamw": Kind("normalised", copies=2, averages=True),
}


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer and its numbers. Each reads of them what it has: experiments/optimizers/update.

    The weight decay never enters the gradient's statistics, whatever the optimizer (Loshchilov and
    Hutter 2019); `decay` says whether the peak learning rate multiplies it.
    """

    name: Name = "adamw"
    learning_rate: float = 3e-3
    beta1: float = 0.9
    beta2: float = 0.95
    momentum: float = 0.95  # of SGD and Muon
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    decay: Literal["coupled", "independent"] = "coupled"
    clip_norm: float = 1.0

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]
