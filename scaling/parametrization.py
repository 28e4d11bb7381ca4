"""Parametrization is data: a table from the role of a weight to its rules.

Every weight of a model is described by one `Weight`: its role, its einsum letters and its sizes.
A `Parametrization` turns that description into a `Rule`. The weight acts in the forward pass as

    w = multiplier * theta,    theta_0 ~ Normal(0, (init_scale * init_std)^2)

and AdamW moves it with the global learning rate, weight decay and epsilon times those of the rule.

Notation: m = width / base_width; fan_in and fan_out are products over the letters on each side.
Sources: SP as in GPT-2 with 1/sqrt(fan_in) matrices; muP in its multiplier form, Yang et al. 2022
(arXiv:2203.03466, table 8) with the Adam epsilon rule of Dey et al. 2025 (arXiv:2505.01618).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from scaling.errors import UserError, check_choices

Role = Literal["embedding", "position", "hidden", "readout", "gain", "bias"]
Name = Literal["sp", "mup"]

EMBEDDING_STD = 0.1


@dataclass(frozen=True)
class Weight:
    """One weight as its maker described it.

    Attributes:
        path: where it lives in the parameter tree, without the layer number.
        role: what it does; the key of every table here.
        letters: its axes as "inputs->outputs", for example "d->hk"; a vector has no inputs.
        shape: one length per letter (the axis of stacked layers is not among them).
        layer: which layer of an unrolled stack, or None.
        stacked: length of a leading axis of layers, or 0.
    """

    path: str
    role: Role
    letters: str
    shape: tuple[int, ...]
    layer: int | None = None
    stacked: int = 0

    @property
    def fan_in(self) -> int:
        return math.prod(self.shape[: self.letters.index("->")])

    @property
    def fan_out(self) -> int:
        return math.prod(self.shape[self.letters.index("->") :])

    @property
    def size(self) -> int:
        return math.prod(self.shape) * max(self.stacked, 1)


@dataclass(frozen=True)
class Rule:
    """What a parametrization says of one weight; all but `init_std` are factors."""

    init_std: float  # of the stored value; gains start at 1 and biases at 0 whatever this says
    multiplier: float = 1.0  # on the stored value, in the forward pass
    learning_rate: float = 1.0
    weight_decay: float = 1.0  # on the decay that is coupled to the learning rate
    epsilon: float = 1.0


_Table = Mapping[Role, Callable[[Weight, float], Rule]]

_VECTORS: _Table = {
    "gain": lambda w, m: Rule(init_std=0.0, weight_decay=0.0),
    "bias": lambda w, m: Rule(init_std=0.0, weight_decay=0.0),
}

TABLES: Mapping[Name, _Table] = {
    "sp": {
        "embedding": lambda w, m: Rule(EMBEDDING_STD),
        "position": lambda w, m: Rule(EMBEDDING_STD),
        "hidden": lambda w, m: Rule(w.fan_in**-0.5),
        "readout": lambda w, m: Rule(w.fan_in**-0.5),
        **_VECTORS,
    },
    "mup": {
        # logits are divided by m, and with them every gradient: so is every epsilon
        "embedding": lambda w, m: Rule(EMBEDDING_STD, epsilon=1 / m),
        "position": lambda w, m: Rule(EMBEDDING_STD, epsilon=1 / m),
        "hidden": lambda w, m: Rule(
            w.fan_in**-0.5, learning_rate=1 / m, weight_decay=m, epsilon=1 / m
        ),
        "readout": lambda w, m: Rule((w.fan_in / m) ** -0.5, multiplier=1 / m, epsilon=1 / m),
        "gain": lambda w, m: Rule(init_std=0.0, weight_decay=0.0, epsilon=1 / m),
        "bias": lambda w, m: Rule(init_std=0.0, weight_decay=0.0, epsilon=1 / m),
    },
}


@dataclass(frozen=True)
class Parametrization:
    """A named table and the base shape from which its ratios are counted."""

    name: Name = "sp"
    base_width: int = 64
    base_head_dim: int = 16

    def __post_init__(self) -> None:
        check_choices("parametrization", self)
        for name in ("base_width", "base_head_dim"):
            if getattr(self, name) < 1:
                raise UserError(f"parametrization.{name}={getattr(self, name)}: must be at least 1")

    def width_ratio(self, width: int) -> float:
        """m = width / base_width."""
        return width / self.base_width

    def rule(self, weight: Weight, width: int) -> Rule:
        """The rule of one weight in a model of this width."""
        return TABLES[self.name][weight.role](weight, self.width_ratio(width))

    def tied_readout_multiplier(self, width: int) -> float:
        """The factor on the logits when the embedding is also the readout: 1/m in muP, else 1."""
        return 1 / self.width_ratio(width) if self.name == "mup" else 1.0

    def attention_scale(self, head_dim: int) -> float:
        """The factor on q.k: head_dim^-1/2, and in muP head_dim^-1, equal at the base head size."""
        if self.name == "mup":
            return self.base_head_dim**0.5 / head_dim
        return head_dim**-0.5
