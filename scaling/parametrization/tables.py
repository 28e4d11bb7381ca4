"""The parametrizations as tables: role of a weight -> its rule.

A weight acts in the forward pass as  w = multiplier * theta,  theta_0 ~ Normal(0, init_std^2). The
optimizer moves theta with the global learning rate, weight decay and epsilon times the rule's.

Notation: m = width / base_width, r = layers / base_layers, d width, fan_in and fan_out products of
the letters on each side, m_in and m_out their ratios to the base's: m for a side that grows as the
width does. A gradient by one of n activations goes as 1/n, so epsilon has the fan-out's ratio.
Tables in m and r (relative) are SP at the base width and depth.

A matrix whose outputs do not grow with its inputs is read as a readout is: a change of its input
aligns with its rows. Its entries start at narrow / sqrt(fan_in), with narrow^2 the ratio of
min(1, fan_out / fan_in) to the base's. So its spectral norm goes as sqrt(fan_out / fan_in) (Yang et
al. 2023, arXiv:2310.17813). The tables that keep features, and know a base, have it.

Three facts hold the tables together, and tests/transfer holds them by training:

- A factor A may move between the multiplier and the weight without changing a run. The exception is
  clipping by the norm of the stored gradients, where the update is not the gradient. For an update
  whose size does not depend on the gradient's, the rule (multiplier A, std s, rate eta, decay
  lambda, epsilon e) equals (1, A s, A eta, lambda / A, e / A). So `mup`, `mup_variance` and
  `mean_field` are one run stored in three ways.
- epsilon is the size of the gradient relative to the base model's: the optimizer compares them.
- So the raw gradient (SGD) moves a weight as Adam does when its rate is that of Adam over epsilon.
  Clipping takes |g|^2 = sum_i rate_i |g_i|^2, which no factor A changes. Under muP that has the
  same size at every width; sum_i |g_i|^2 does not. A tied embedding needs no other rate: both of
  its gradients, as embedding and as readout, are 1/m.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from scaling.parametrization.weight import Role, Weight

Name = Literal[
    "sp",
    "mup",
    "mup_variance",
    "lingle_relative",
    "lingle_absolute",
    "umup",
    "depth_mup",
    "completep",
    "ntk",
    "mean_field",
]
# Families of updates by their size: "normalised" has entries of about 1 at any gradient (Adam,
# Lion, Adafactor), "gradient" is the gradient itself (SGD, momentum), "orthogonal" has entries of
# about 1 and equal singular values (Muon, scaled to AdamW's RMS).
Family = Literal["normalised", "gradient", "orthogonal"]

EMBEDDING_STD = 0.1
SIDES = ("base_width", "base_ffn", "base_attention")


@dataclass(frozen=True)
class Rule:
    """The entry of one weight in a parametrization; all but `init_std` are factors."""

    init_std: float  # of the stored value; gains start at 1 and biases at 0 regardless
    multiplier: float = 1.0  # on the stored value, in the forward pass
    learning_rate: float = 1.0
    weight_decay: float = 1.0  # on the decay that is coupled to the learning rate
    epsilon: float = 1.0


class Ratios(NamedTuple):
    """Ratios of a model to its base, and its width and depth.

    Attributes:
        m, r: of the widths and of the layers.
        m_in, m_out: of the weight's fan-in and fan-out; m where a side grows with the width, as
            all do unless the base says otherwise.
        rank: of the lesser of fan-in and fan-out.
        narrow: of the root of fan-out over fan-in, of at most 1; 1 where both sides grow alike.
    """

    m: float
    r: float
    width: int
    layers: int
    m_in: float
    m_out: float
    rank: float
    narrow: float = 1.0


Row = Callable[[Weight, Ratios], Rule]


@dataclass(frozen=True)
class Table:
    """One parametrization: the row of every role, and the factors on activations.

    Attributes:
        attention: the factor on q.k from the head size and the base head size.
        tied: the factor on the logits when the embedding is also the readout; None: no rule.
        residual: the factor on a branch's output, which the residual stream adds.
        families: the updates that it has rules for.
        bases: fields of a `Parametrization` that it reads.
        full_rank: the rate of an orthogonal update over that of a normalised one.
    """

    rows: Mapping[Role, Row]
    attention: Callable[[int, int], float]
    tied: Callable[[Ratios], float] | None
    bases: tuple[str, ...]
    residual: Callable[[Ratios], float] = lambda s: 1.0
    families: tuple[Family, ...] = ("normalised", "gradient", "orthogonal")
    full_rank: Callable[[Ratios], float] = lambda s: s.rank**0.5


def _inverse_sqrt(head_dim: int, base_head_dim: int) -> float:
    return head_dim**-0.5


def _inverse(head_dim: int, base_head_dim: int) -> float:
    return 1 / head_dim


def _inverse_from_base(head_dim: int, base_head_dim: int) -> float:
    """1 / head_dim, and 1 / sqrt(head_dim) at the base head size."""
    return base_head_dim**0.5 / head_dim


def _roles(embedding: Row, hidden: Row, readout: Row, vector: Row) -> Mapping[Role, Row]:
    """Ten rows from four: a router reads from the width as a readout does.

    A fixed matrix has no side that grows, and so no power of a ratio. Taps are a few numbers of
    each channel, at any width: a vector that starts at random.
    """
    return {
        "embedding": embedding,
        "position": embedding,
        "query": hidden,
        "hidden": hidden,
        "readout": readout,
        "router": readout,
        "fixed": _fan_in,
        "taps": lambda w, s: replace(vector(w, s), init_std=w.fan_in**-0.5),
        "gain": vector,
        "bias": vector,
    }


def _vector(learning_rate: float = 1.0, epsilon: float = 1.0) -> Rule:
    return Rule(0.0, learning_rate=learning_rate, weight_decay=0.0, epsilon=epsilon)


def _fan_in(w: Weight, s: Ratios) -> Rule:
    return Rule(w.fan_in**-0.5)


# GPT-2's habits with 1/sqrt(fan_in) matrices, one rate for all. The baseline: it does not transfer.
SP = Table(
    rows=_roles(
        embedding=lambda w, s: Rule(EMBEDDING_STD),
        hidden=_fan_in,
        readout=_fan_in,
        vector=lambda w, s: _vector(),
    ),
    attention=_inverse_sqrt,
    tied=lambda s: 1.0,
    bases=(),
    full_rank=lambda s: 1.0,
)

# Yang et al. 2022 (arXiv:2203.03466), table 8: the multiplier form. Logits are divided by m, and
# with them every gradient, so every epsilon is (Dey et al. 2025, arXiv:2505.01618).
MUP = Table(
    rows=_roles(
        embedding=lambda w, s: Rule(EMBEDDING_STD, epsilon=1 / s.m),
        hidden=lambda w, s: Rule(
            s.narrow * w.fan_in**-0.5,
            learning_rate=1 / s.m_in,
            weight_decay=s.m_in,
            epsilon=1 / s.m_out,
        ),
        readout=lambda w, s: Rule((w.fan_in / s.m) ** -0.5, multiplier=1 / s.m, epsilon=1 / s.m),
        vector=lambda w, s: _vector(epsilon=1 / s.m),
    ),
    attention=_inverse_from_base,
    tied=lambda s: 1 / s.m,
    bases=(*SIDES, "base_head_dim"),
)

# The same, table 3: the readout's factor is in its variance and its rate.
MUP_VARIANCE = replace(
    MUP,
    rows=_roles(
        embedding=MUP.rows["embedding"],
        hidden=MUP.rows["hidden"],
        readout=lambda w, s: Rule(
            (w.fan_in / s.m) ** -0.5 / s.m, learning_rate=1 / s.m, weight_decay=s.m
        ),
        vector=MUP.rows["gain"],
    ),
)


def _deep(alpha: float) -> Table:
    """muP over width, and over depth  x <- x + r^-alpha branch(x)  (arXiv:2505.01618, table 1).

    Of L branches that move coherently each may move by 1/r: rate * r^-alpha = 1/r within a block.
    Gradients within a block, and so its epsilons, carry the branch's r^-alpha. The decay keeps the
    published factor m, so rate * decay goes as r^(alpha-1).
    """

    def rate(w: Weight, s: Ratios) -> float:
        return s.r ** (alpha - 1) if w.in_block else 1.0

    def epsilon(w: Weight, s: Ratios) -> float:
        return s.r**-alpha / s.m_out if w.in_block else 1 / s.m

    return replace(
        MUP,
        rows=_roles(
            embedding=MUP.rows["embedding"],
            hidden=lambda w, s: Rule(
                s.narrow * w.fan_in**-0.5,
                learning_rate=rate(w, s) / s.m_in,
                weight_decay=s.m_in,
                epsilon=epsilon(w, s),
            ),
            readout=MUP.rows["readout"],
            vector=lambda w, s: _vector(rate(w, s), epsilon(w, s)),
        ),
        residual=lambda s: s.r**-alpha,
        bases=(*MUP.bases, "base_layers"),
    )


def _lingle(rate: Callable[[Weight, Ratios], float], bases: tuple[str, ...]) -> Table:
    """Lingle 2024 (arXiv:2404.05728), from its code: variance form, embeddings of variance 1.

    The decay is coupled and its lambda unscaled, so it weakens as the rate of a matrix does. There
    is no epsilon rule, and so no size of the gradient from which a rate for SGD would follow.
    """
    return Table(
        rows=_roles(
            embedding=lambda w, s: Rule(1.0),
            hidden=lambda w, s: Rule(
                (s.narrow if bases else 1.0) * w.fan_in**-0.5, learning_rate=rate(w, s)
            ),
            readout=lambda w, s: Rule(1 / w.fan_in, learning_rate=rate(w, s)),
            vector=lambda w, s: _vector(),
        ),
        attention=_inverse,
        tied=None,  # one matrix cannot have both variances
        bases=bases,
        families=("normalised",),
    )


# Blake et al. 2024 (arXiv:2407.17465): every weight has variance 1 and no base is needed. Factors
# that do not depend on the model's shape are left out: those of unit variance after nonlinearities,
# and backward-only ones. There the residual stream of L blocks is divided by its size after each
# branch. The norms undo that division, which leaves x <- x + L^-1/2 branch(x).
# The embedding's rate d^-1/2 is theirs: its update shrinks with the width by design.
def _in_depth(w: Weight, s: Ratios) -> float:
    return s.layers**-0.5 if w.in_block else 1.0


UMUP = Table(
    rows=_roles(
        embedding=lambda w, s: Rule(1.0, learning_rate=w.fan_out**-0.5),
        hidden=lambda w, s: Rule(
            1.0, multiplier=w.fan_in**-0.5, learning_rate=w.fan_in**-0.5 * _in_depth(w, s)
        ),
        readout=lambda w, s: Rule(1.0, multiplier=1 / w.fan_in),
        vector=lambda w, s: _vector(_in_depth(w, s)),
    ),
    attention=_inverse,
    tied=lambda s: 1 / s.width,
    bases=(),
    residual=lambda s: s.layers**-0.5,
    families=("normalised",),
)

# Two of the four parametrizations of Everett et al. 2024 (arXiv:2407.05872), with the largest rates
# that keep every change of an activation O(1). Derived here, not copied, from two assumptions. An
# update is aligned with its input (|dw x| ~ fan_in |dw| |x|). The initial weights and a change of
# their input are not (|w_0 dx| ~ sqrt(fan_in) |w_0| |dx|). A matrix of multiplier A then has the
# rate 1 / (A m), the embedding 1.
# NTK (Jacot et al. 2018): SP's function at the start; unlike SP the factors are in the multipliers.
NTK = Table(
    rows=_roles(
        embedding=lambda w, s: Rule(EMBEDDING_STD, epsilon=s.m**-0.5),
        hidden=lambda w, s: Rule(
            (w.fan_in / s.m_in) ** -0.5,
            multiplier=s.m_in**-0.5,
            learning_rate=s.m_in**-0.5,
            weight_decay=s.m_in**0.5,
            epsilon=(s.m_in * s.m_out) ** -0.5,
        ),
        readout=lambda w, s: Rule(
            (w.fan_in / s.m) ** -0.5,
            multiplier=s.m**-0.5,
            learning_rate=s.m**-0.5,
            weight_decay=s.m**0.5,
            epsilon=s.m**-0.5,
        ),
        vector=lambda w, s: _vector(epsilon=s.m**-0.5),
    ),
    attention=_inverse_sqrt,
    tied=None,  # a readout's rate would be 1/m of the embedding's
    bases=SIDES,
)

# Mei et al. 2018: a readout that averages (1/m) over hidden matrices with multiplier m^-1/2. By the
# first fact above it is muP, stored otherwise.
MEAN_FIELD = replace(
    MUP,
    rows=_roles(
        embedding=MUP.rows["embedding"],
        hidden=lambda w, s: Rule(
            s.narrow * (w.fan_in / s.m_in) ** -0.5,
            multiplier=s.m_in**-0.5,
            learning_rate=s.m_in**-0.5,
            weight_decay=s.m_in**0.5,
            epsilon=s.m_in**-0.5 / s.m_out,
        ),
        readout=MUP.rows["readout"],
        vector=MUP.rows["gain"],
    ),
)

TABLES: Mapping[Name, Table] = {
    "sp": SP,
    "mup": MUP,
    "mup_variance": MUP_VARIANCE,
    "lingle_relative": _lingle(lambda w, s: 1 / s.m_in, SIDES),
    "lingle_absolute": _lingle(lambda w, s: 1 / w.fan_in, ()),
    "umup": UMUP,
    "depth_mup": _deep(0.5),
    "completep": _deep(1.0),
    "ntk": NTK,
    "mean_field": MEAN_FIELD,
}


def _for_gradient(rule: Rule) -> Rule:
    """An update as large as the gradient: rate / epsilon; rate * decay is unchanged."""
    return replace(
        rule,
        learning_rate=rule.learning_rate / rule.epsilon,
        weight_decay=rule.weight_decay * rule.epsilon,
        epsilon=1.0,
    )


def _for_orthogonal(rule: Rule, full_rank: float) -> Rule:
    """An update of full rank; rate * decay is unchanged.

    Take updates with entries of 1. One aligned with its input x moves w x by fan_in |x|. An
    orthogonal one moves it by its singular value, sqrt(max(fan_in, fan_out)), times sqrt(fan_in /
    fan_out) |x|. That is less by sqrt(min(fan_in, fan_out)), which goes as rank^1/2. So its rate is
    that much larger. Its size is that of the spectral condition of Yang et al. 2023
    (arXiv:2310.17813).
    """
    return replace(
        rule,
        learning_rate=rule.learning_rate * full_rank,
        weight_decay=rule.weight_decay / full_rank,
        epsilon=1.0,
    )


FAMILIES: Mapping[Family, Callable[[Rule, float], Rule]] = {
    "normalised": lambda rule, full_rank: rule,
    "gradient": lambda rule, full_rank: _for_gradient(rule),
    "orthogonal": _for_orthogonal,
}
