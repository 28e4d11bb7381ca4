"""Which optimizer a run has, what it reads, and which rules of the parametrization it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from scaling.errors import UserError
from scaling.parametrization import Parametrization

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

# What the size of an update depends on. "normalised": its entries are about 1 whatever the gradient
# (Adam, Lion, Adafactor). "gradient": it is as large as the gradient (SGD). "orthogonal": all
# singular values of a matrix are equal and its entries about 1 (Muon as scaled here).
Family = Literal["normalised", "gradient", "orthogonal"]


@dataclass(frozen=True)
class Kind:
    """What holds of every run with an optimizer, known without JAX.

    Attributes:
        family: of its update; of Muon's, for what is no hidden matrix.
        matrices: the family of its update of hidden matrices, where it is another.
        copies: float32 values that its state keeps for each parameter, at most.
    """

    family: Family
    copies: int
    matrices: Family | None = None
    averages: bool = False  # it evaluates an average of its own, at a constant rate

    @property
    def families(self) -> tuple[Family, ...]:
        return (self.family,) if self.matrices is None else (self.family, self.matrices)


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

# The families that a parametrization has rules for. SP is one rate for all, whatever moves by it.
RULES: Mapping[str, tuple[Family, ...]] = {
    "sp": ("normalised", "gradient", "orthogonal"),
    "mup": ("normalised",),
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


def check_rules(optimizer: OptimizerConfig, parametrization: Parametrization) -> None:
    """Refuse an optimizer that the parametrization has no rule for."""
    for family in optimizer.kind.families:
        if family not in RULES[parametrization.name]:
            able = [
                name
                for name, kind in KINDS.items()
                if {*kind.families} <= {*RULES[parametrization.name]}
            ]
            raise UserError(
                f"optimizer.name={optimizer.name}: parametrization.name={parametrization.name} "
                f"has no rule for its {family} updates; set parametrization.name=sp, or choose one "
                f"of {', '.join(able)}"
            )
