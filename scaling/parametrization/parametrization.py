"""A run's parametrization: a named table (tables.py), its base shape, and free choices.

`Parametrization` turns the description of a weight into its `Rule`, for a model's width and depth
and a family of optimizers. Every free choice is a named field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, Protocol

from scaling.common.alphabet import parse
from scaling.common.errors import AT_LEAST_ONE, Ranges, UserError, check_choices, check_ranges
from scaling.parametrization.tables import (
    FAMILIES,
    TABLES,
    Family,
    Name,
    Ratios,
    Rule,
)
from scaling.parametrization.weight import Role, Weight


class Shape(Protocol):
    """The sizes of a model that its rules depend on."""

    @property
    def width(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def ffn(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...


@dataclass(frozen=True)
class RolePowers:
    """Exponents p of a factor m^p on the table's entry of each role; 0 leaves the entry alone.

    Under SP, whose table has one rate for all, powers of the rates are the per-layer exponents.
    Under muP a readout of init power 1/2 starts as SP's does.
    """

    embedding: float = 0.0  # of embeddings and learned positions
    hidden: float = 0.0  # of hidden matrices
    readout: float = 0.0  # of an untied readout
    router: float = 0.0  # of routers, and of matrices between fixed sizes
    gain: float = 0.0  # of the gains of norms, and of taps
    bias: float = 0.0  # of biases


_POWER_OF: Mapping[Role, str] = {
    "position": "embedding",
    "query": "hidden",
    "fixed": "router",
    "taps": "gain",
}

ZeroInit = Literal["none", "query", "readout", "both"]
_ZERO: Mapping[ZeroInit, tuple[Role, ...]] = {
    "none": (),
    "query": ("query",),
    "readout": ("readout",),
    "both": ("query", "readout"),
}


RANGES: Ranges = {
    **dict.fromkeys(("base_width", "base_head_dim", "base_layers"), AT_LEAST_ONE),
    **dict.fromkeys(
        ("base_ffn", "base_attention"), (0, math.inf, "must be 0 (as the width) or more")
    ),
}


@dataclass(frozen=True)
class Parametrization:
    """A named table, the base shape from which its ratios are counted, and the free choices."""

    name: Name = "sp"  # the table of rules
    base_width: int = 64  # the width at which ratios are 1
    base_head_dim: int = 16  # the head size at which the attention scale is that of SP
    base_layers: int = 2  # the depth likewise, of tables with a depth rule: depth_mup, completep
    attention_scale: Literal["table", "1/sqrt(d)", "1/d"] = "table"  # d the head size
    zero_init: ZeroInit = "none"  # weights that start at zero
    learning_rate_powers: RolePowers = RolePowers()  # power of the width's ratio, on a rate
    init_powers: RolePowers = RolePowers()  # power of the width's ratio, on an initial deviation
    base_ffn: int = 0  # the ffn at which its ratio is 1; 0: it grows as the width
    base_attention: int = 0  # heads * head_dim likewise; 0: it grows as the width

    def __post_init__(self) -> None:
        check_choices("parametrization", self)
        check_ranges("parametrization", self, RANGES)
        for name in ("learning_rate_powers", "init_powers"):
            for entry in fields(powers := getattr(self, name)):
                power = getattr(powers, entry.name)
                if not math.isfinite(power):
                    raise UserError(f"parametrization.{name}.{entry.name}={power}: must be finite")

    def check(self, family: Family, embeddings: Literal["tied", "untied"]) -> None:
        """Refuse a combination that has no rule."""
        table, tied = TABLES[self.name], embeddings == "tied"
        if family not in table.families:
            known = ", ".join(name for name, other in TABLES.items() if family in other.families)
            raise UserError(
                f"parametrization.name={self.name}: no rule for an optimizer of {family} updates; "
                f"choose another optimizer, or one of {known}"
            )
        if tied and table.tied is None:
            raise UserError(
                f"parametrization.name={self.name}: no rule for a tied readout; "
                "set model.embeddings=untied"
            )
        if tied and "readout" in _ZERO[self.zero_init]:
            raise UserError(
                f"parametrization.zero_init={self.zero_init}: a tied readout is the embedding, "
                "which cannot start at zero; set model.embeddings=untied"
            )

    def width_ratio(self, width: int) -> float:
        """m = width / base_width."""
        return width / self.base_width

    def rule(self, weight: Weight, shape: Shape, family: Family = "normalised") -> Rule:
        """The rule of one weight; `init_std` and `multiplier` are the same for every family."""
        table, ratios = TABLES[self.name], self._ratios(shape, weight)
        rule = FAMILIES[family](table.rows[weight.role](weight, ratios), table.full_rank(ratios))
        role = _POWER_OF.get(weight.role, weight.role)
        rate, init = (getattr(p, role) for p in (self.learning_rate_powers, self.init_powers))
        zero = weight.role in _ZERO[self.zero_init]
        return replace(
            rule,
            init_std=0.0 if zero else rule.init_std * ratios.m**init,
            learning_rate=rule.learning_rate * ratios.m**rate,
        )

    def narrows(self, weight: Weight, shape: Shape) -> bool:
        """True where a hidden matrix starts as it does for its few outputs (tables.py)."""
        row, ratios = TABLES[self.name].rows["hidden"], self._ratios(shape, weight)
        return row(weight, ratios) != row(weight, ratios._replace(narrow=1.0))

    def tied_readout_factor(self, shape: Shape) -> float:
        """The factor on the logits when the embedding is also the readout."""
        tied = TABLES[self.name].tied
        if tied is None:
            raise ValueError(f"{self.name} has no rule for a tied readout: call check first")
        return tied(self._ratios(shape))

    def residual_factor(self, shape: Shape) -> float:
        """The factor on a branch's output, which the residual stream adds."""
        return TABLES[self.name].residual(self._ratios(shape))

    def attention_factor(self, head_dim: int) -> float:
        """The factor on q.k."""
        if self.attention_scale == "table":
            return TABLES[self.name].attention(head_dim, self.base_head_dim)
        return head_dim ** {"1/sqrt(d)": -0.5, "1/d": -1.0}[self.attention_scale]

    def _ratios(self, shape: Shape, weight: Weight | None = None) -> Ratios:
        m, r = self.width_ratio(shape.width), shape.layers / self.base_layers
        if weight is None:
            return Ratios(m, r, shape.width, shape.layers, m, m, m)
        _, inputs, outputs = parse(weight.letters)
        m_in, m_out = (self._side(letters, shape, m) for letters in (inputs, outputs))
        rank, narrow = m, 1.0
        if m_in != m_out:
            into, out = weight.fan_in / m_in, weight.fan_out / m_out  # of the base
            rank = min(weight.fan_in, weight.fan_out) / min(into, out)
            narrow = (min(1.0, weight.fan_out / weight.fan_in) / min(1.0, out / into)) ** 0.5
        return Ratios(m, r, shape.width, shape.layers, m_in, m_out, rank, narrow)

    def _side(self, letters: str, shape: Shape, m: float) -> float:
        """The ratio of one side of a weight to the base's."""
        if letters == "l":  # a rank
            return 1.0
        if letters == "f" and self.base_ffn:
            return shape.ffn / self.base_ffn
        if letters == "h":  # one number of each head
            return self._side("hk", shape, m) * self.base_head_dim / shape.head_dim
        if letters in ("hk", "hw", "gk", "s") and self.base_attention:
            return shape.heads * shape.head_dim / self.base_attention
        return m
