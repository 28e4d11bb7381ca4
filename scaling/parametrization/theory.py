"""The powers of width and depth that each parametrization's theory gives its rules.

Stated apart from the tables, so that a table with a mistake in it does not judge itself. A weight
acts as  w = multiplier * theta. Its powers are of w, which no factor moved between the two changes:

    init        std of w at the start
    rate        |change of w| per step, of a normalised update
    epsilon     of the optimizer, relative to the gradient of w
    decay       share of w that weight decay takes per step, coupled to the rate; None: none
    multiplier  of the form in which the table stores w

Activations follow. A random sum over n inputs is sqrt(n) |w| |x|, as at the start; an aligned one,
as of a change and its input, n |w| |x|. So `rate` -1 of a matrix keeps the change of its output.
The other families of updates have no powers of their own: the gradient's is rate - epsilon, an
orthogonal one's rate + full_rank (tables.py has both reasons).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from scaling.parametrization.tables import Family, Name
from scaling.parametrization.weight import Role

Axis = Literal["width", "layers"]
Group = Literal["embedding", "hidden", "readout", "vector", "fixed"]
GROUPS: Mapping[Role, Group] = {
    "embedding": "embedding",
    "position": "embedding",
    "query": "hidden",
    "hidden": "hidden",
    "readout": "readout",
    "router": "readout",
    "fixed": "fixed",
    "taps": "vector",
    "gain": "vector",
    "bias": "vector",
}
Range = tuple[float, float]
# Places that read from the width; all others are outputs of matrices, of blocks or of the embedding
ROUTERS = ("mlp/router", "mlp/residual", "mlp/gates", "mlp/gates_back", "mlp/choice")
# Places with one number of each head: as few outputs at any width where heads grow in size alone
OF_HEADS = ("gated_delta/beta", "gated_delta/time")
RANDOM_SUMS = ("logits", "attention/logits", *ROUTERS, *OF_HEADS)


@dataclass(frozen=True)
class Powers:
    """Powers of the effective weight; the module's docstring defines each."""

    init: float
    rate: float
    epsilon: float
    decay: float | None
    multiplier: float = 0.0


@dataclass(frozen=True)
class Theory:
    """Powers of the width by group of roles, and of the depth for weights in blocks.

    A matrix between fixed sizes has none.

    Attributes:
        attention: power of the head size in the factor on q.k.
        tied: power of the width in the factor on the logits of a tied readout.
        residual: power of the depth in the factor on a branch.
        blocks: powers of the depth of a matrix in a block; of a vector too, without decay.
        full_rank: power of the width in an orthogonal update's rate over a normalised one's.
        narrow: power of fan_out / fan_in in the init of a hidden matrix with fewer outputs.
        keeps: the axes over which activations and their changes keep their size.
    """

    width: Mapping[Group, Powers]
    attention: float
    tied: float
    keeps: tuple[Axis, ...] = ("width",)
    residual: float = 0.0
    blocks: Powers = Powers(0.0, 0.0, 0.0, 0.0)
    full_rank: float = 0.5
    narrow: float = 0.0

    def of_weight(
        self,
        axis: Axis,
        role: Role,
        in_block: bool,
        fan_in: float = 1.0,
        fan_out: float | None = None,
    ) -> Powers:
        """The powers of one weight along an axis, of a normalised update.

        Args:
            fan_in: d ln(fan_in) / d ln(width); 0 for an input side that does not grow.
            fan_out: the same of a side with fewer numbers than the inputs; None: not fewer.
        """
        group = GROUPS[role]
        if group == "fixed":
            return Powers(0.0, 0.0, 0.0, 0.0)
        if axis == "width":
            powers = self.width[group]
            matrix = group in ("hidden", "readout")
            share = fan_in if matrix else 1.0
            few = (
                self.narrow * (fan_out - fan_in) if group == "hidden" and fan_out is not None else 0
            )
            return replace(powers, init=powers.init * share + few, rate=powers.rate * share)
        found = self.blocks if in_block else Powers(0.0, 0.0, 0.0, 0.0)
        return replace(found, decay=None) if group == "vector" else found

    def rate(self, powers: Powers, family: Family, axis: Axis) -> float:
        """The power of one step's change, for a gradient of w with entries of 1."""
        full_rank = self.full_rank if axis == "width" else 0.0
        more = {"normalised": 0.0, "gradient": -powers.epsilon, "orthogonal": full_rank}
        return powers.rate + more[family]

    def factor(self, axis: Axis, name: Literal["attention", "residual", "tied"]) -> float:
        """The power of a factor of the forward pass; of the head size for attention."""
        return getattr(self, name) if (axis == "layers") == (name == "residual") else 0.0

    def at_start(self, axis: Axis, place: str, heads: float = 1.0, tied: bool = False) -> Range:
        """The powers between which the size of an activation lies at the start.

        Over depth the stream is an embedding and L branches, added at random.

        Args:
            heads: d ln(head_dim) / d ln(width).
        """
        if axis == "layers":
            branches = 0.5 + self.residual
            return (min(0.0, branches), max(0.0, branches)) if place == "stream" else (0.0, 0.0)
        readout = self.width["readout"].init + 0.5
        own = {
            "attention/logits": (self.attention + 0.5) * heads,
            **dict.fromkeys(ROUTERS, readout),
            **dict.fromkeys(OF_HEADS, -self.narrow * heads),
            "logits": self.tied + 0.5 if tied else readout,
        }
        power = own.get(place, 0.0)
        # the logit of a token's own embedding is an aligned sum, and its share is not known
        return (power, power + 0.5) if tied and place == "logits" else (power, power)

    def after(
        self,
        axis: Axis,
        place: str,
        quantity: str,
        heads: float = 1.0,
        tied: bool = False,
        stream: float = 0.0,
        gradient: bool = False,
    ) -> Range | None:
        """The powers of an activation, or of its change, after some steps; None: no claim.

        A change comes from the weight itself and from all before it, so it lies between theirs. A
        size is the start and a change, of which either may be larger. A product of two that become
        aligned comes from a random sum.

        Args:
            stream: power of the depth of the stream at the start, as measured.
            gradient: updates are as large as the gradient.
        """
        if axis not in self.keeps:
            return None
        if axis == "layers":
            low, high = self._changed_over_depth(place, stream, gradient)
            start = (low, high) if quantity == "change" else self.at_start(axis, place)
            return min(low, start[0]), max(high, start[1])
        embedding = self.width["embedding"].rate
        if place == "embedded":
            return embedding, embedding if quantity == "change" else 0.0
        if place == "attention/logits":
            random, aligned = (self.attention + half for half in (0.5, 1.0))
            return min(random * heads, embedding), max(aligned * heads, 0.0)
        if place in RANDOM_SUMS:
            return min(self.at_start(axis, place, heads, tied)[0], embedding), 0.0
        return min(0.0, embedding), 0.0

    def _changed_over_depth(self, place: str, stream: float, gradient: bool) -> Range:
        """The powers between which a change lies.

        Branches that move coherently change the stream by r^(rate + residual + 1) = 1. Other parts
        vanish in the limit and may be larger at small depths. Initial branches answer a changed
        input at random, as they add up at the start: r^stream. Two weights of a branch that both
        move carry the rate twice. A norm divides by the stream: what it reads may change by
        r^-stream, and so may gradients. The first branch alone reads the embedding, whose gradient
        by it goes as r^residual.
        """
        gradients = -stream if gradient else 0.0
        if place == "embedded":
            return (self.residual if gradient else 0.0), gradients
        if place == "stream":
            return min(stream, 2 * self.blocks.rate + self.residual + 1), gradients
        return (self.blocks.rate if "/" in place else 0.0), gradients - stream


_MUP = Theory(
    width={
        "embedding": Powers(0, 0, -1, 0),
        "hidden": Powers(-0.5, -1, -1, 0),
        "readout": Powers(-1, -1, 0, 0, multiplier=-1),
        "vector": Powers(0, 0, -1, None),
    },
    attention=-1,
    tied=-1,
    narrow=0.5,
)


def _deep(alpha: float) -> Theory:
    """Branches of r^-alpha, of which each may move by 1/r."""
    return replace(
        _MUP,
        residual=-alpha,
        blocks=Powers(0, alpha - 1, -alpha, alpha - 1),
        keeps=("width", "layers"),
    )


# Decay is coupled and unscaled, as is epsilon
_LINGLE = Theory(
    width={
        "embedding": Powers(0, 0, 0, 0),
        "hidden": Powers(-0.5, -1, 0, -1),
        "readout": Powers(-1, -1, 0, -1),
        "vector": Powers(0, 0, 0, None),
    },
    attention=-1,
    tied=0,
)

THEORIES: Mapping[Name, Theory] = {
    "sp": Theory(
        width={
            "embedding": Powers(0, 0, 0, 0),
            "hidden": Powers(-0.5, 0, 0, 0),
            "readout": Powers(-0.5, 0, 0, 0),
            "vector": Powers(0, 0, 0, None),
        },
        attention=-0.5,
        tied=0,
        keeps=(),
        full_rank=0,
    ),
    "mup": _MUP,
    "mup_variance": replace(_MUP, width={**_MUP.width, "readout": Powers(-1, -1, 0, 0)}),
    "mean_field": replace(
        _MUP, width={**_MUP.width, "hidden": Powers(-0.5, -1, -1, 0, multiplier=-0.5)}
    ),
    "lingle_relative": replace(_LINGLE, narrow=0.5),
    "lingle_absolute": _LINGLE,
    "umup": Theory(
        width={
            "embedding": Powers(0, -0.5, 0, -0.5),
            "hidden": Powers(-0.5, -1, 0.5, -0.5, multiplier=-0.5),
            "readout": Powers(-1, -1, 1, 0, multiplier=-1),
            "vector": Powers(0, 0, 0, None),
        },
        attention=-1,
        tied=-1,
        residual=-0.5,
        blocks=Powers(0, -0.5, 0, -0.5),
        keeps=("width", "layers"),
    ),
    "depth_mup": _deep(0.5),
    "completep": _deep(1.0),
    "ntk": Theory(
        width={
            "embedding": Powers(0, 0, -0.5, 0),
            "hidden": Powers(-0.5, -1, -0.5, 0, multiplier=-0.5),
            "readout": Powers(-0.5, -1, 0, 0, multiplier=-0.5),
            "vector": Powers(0, 0, -0.5, None),
        },
        attention=-0.5,
        tied=0,
    ),
}
