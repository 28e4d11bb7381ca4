"""The laws of Kaplan et al. 2020 (arXiv 2001.08361): size, data, steps and batch.

    L(x)          = (x_c / x)^alpha_x                                 x = N, D or C, alone
    L(N, D)       = [ (N_c/N)^(alpha_N/alpha_D) + D_c/D ]^alpha_D
    L(N, S_min)   = (N_c/N)^alpha_N + (S_c/S_min)^alpha_S
    L(N, B, S)    : the same with S_min = S / (1 + B_crit(L)/B), solved for L

N counts parameters without embeddings, and C = 6 N B S with that N. S steps at batch B (tokens)
take as long as S_min at a batch far above B_crit; `scaling.laws.critical_batch` holds B_crit(L) and
the conversions of steps and compute.

The constants of a form fitted alone (L(N), L(D)) are not those of the joint form L(N, D). Do not
put one set into the other form. L(N, S_min) has no published set: no source was found for two of
its four numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scaling.laws._law import Array, Convention, Law, Published, exponent, positive
from scaling.laws.critical_batch import critical_batch

PF_DAY = 8.64e19  # FLOPs: 1e15 per second for a day
NEWTON_STEPS = 14  # of `loss_at_batch`: 10 reach rounding error over 8 decades of every constant

WEBTEXT = Convention(
    params="parameters without embeddings (params_nonembedding)",
    tokens="tokens of WebText2, GPT-2's vocabulary of 50,257, context 1,024",
    loss="nats/token on held-out WebText2",
)
OPENWEBTEXT = Convention(
    params="parameters without embeddings (params_nonembedding), up to 6.3 M",
    tokens="tokens of OpenWebText, GPT-2's vocabulary",
    loss="nats/token",
)
_KAPLAN = "Kaplan et al. 2020, arXiv 2001.08361"
_SECOND_HAND = f"{_KAPLAN}, as quoted by later papers"
_NANOGPT = "shehper/scaling_laws, README"
_COLUMNS = {"params": "params_nonembedding", "flops": "flops_6nd_nonembedding"}
_SCALES = (1e4, 1e7, 1e10, 1e13, 1e16, 1e19, 1e22)  # starts of x_c, which lies far beyond any run


def _single(
    name: str, variable: str, letter: str, units: str, published: tuple[Published, ...]
) -> Law:
    """L(x) = (x_c / x)^alpha_x."""
    scale, power = f"{letter}_c", f"alpha_{letter}"

    def formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
        return xp.exp(p[power] * (xp.log(p[scale]) - xp.log(x[variable])))

    return Law(
        name=name,
        form=f"L({letter}) = ({scale} / {letter})^{power}",
        variables=(variable,),
        space=(positive(scale, *_SCALES), exponent(power)),
        formula=formula,
        units=units,
        source=_KAPLAN,
        published=published,
        columns={name: column for name, column in _COLUMNS.items() if name == variable},
    )


kaplan_params = _single(
    "kaplan_params",
    "params",
    "N",
    "N and N_c parameters without embeddings, L nats per token",
    (
        Published(
            name="kaplan2020",
            values={"N_c": 8.8e13, "alpha_N": 0.076},
            convention=WEBTEXT,
            recipe="log-log line; models trained to convergence, data not limiting",
            source=_SECOND_HAND,
        ),
        Published(
            name="shehper_nanogpt",
            values={"N_c": 3.8e13, "alpha_N": 0.082},
            convention=OPENWEBTEXT,
            recipe="Kaplan's L(N) repeated with nanoGPT",
            source=_NANOGPT,
        ),
    ),
)

kaplan_tokens = _single(
    "kaplan_tokens",
    "tokens",
    "D",
    "D and D_c tokens, L nats per token",
    (
        Published(
            name="kaplan2020",
            values={"D_c": 5.4e13, "alpha_D": 0.095},
            convention=WEBTEXT,
            recipe="log-log line; one large model, stopped early on each data set",
            source=_SECOND_HAND,
        ),
    ),
)

kaplan_flops = _single(
    "kaplan_flops",
    "flops",
    "C",
    "C and C_c FLOPs as 6 N B S, N without embeddings; L nats per token",
    (
        Published(
            name="kaplan2020_fixed_batch",
            values={"C_c": 1.6e7 * PF_DAY, "alpha_C": 0.057},
            convention=WEBTEXT,
            recipe="lower envelope over sizes at a batch of 2^19 tokens; 1.6e7 PF-days",
            source=_SECOND_HAND,
        ),
        Published(
            name="kaplan2020_min",
            values={"C_c": 3.1e8 * PF_DAY, "alpha_C": 0.050},
            convention=WEBTEXT,
            recipe="lower envelope over sizes, C converted to C_min; 3.1e8 PF-days",
            source=_SECOND_HAND,
        ),
    ),
)


def _joint(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    size = p["alpha_N"] / p["alpha_D"] * (xp.log(p["N_c"]) - xp.log(x["params"]))
    data = xp.log(p["D_c"]) - xp.log(x["tokens"])
    return xp.exp(p["alpha_D"] * xp.logaddexp(size, data))


def _joint_allocation(params: Mapping[str, ArrayLike], flops: ArrayLike) -> tuple[Array, Array]:
    """N*^(1+r) = r N_c^r C / (6 D_c), D* = C / (6 N*), r = alpha_N / alpha_D: the stationary point
    of L(N, D) along N D = C/6."""
    N_c, D_c, alpha_N, alpha_D = (
        np.asarray(params[name], np.float64) for name in ("N_c", "D_c", "alpha_N", "alpha_D")
    )
    r = alpha_N / alpha_D
    log_product = np.log(np.asarray(flops, np.float64) / 6)
    log_size = (np.log(r) + r * np.log(N_c) + log_product - np.log(D_c)) / (1 + r)
    return np.exp(log_size), np.exp(log_product - log_size)


kaplan = Law(
    name="kaplan",
    form="L(N, D) = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D",
    variables=("params", "tokens"),
    space=(
        positive("N_c", *_SCALES),
        positive("D_c", *_SCALES),
        exponent("alpha_N", 0.05, 0.1, 0.3),
        exponent("alpha_D", 0.05, 0.1, 0.3),
    ),
    formula=_joint,
    units="N and N_c parameters without embeddings, D and D_c tokens, L nats per token",
    source=f"{_KAPLAN}, section 4",
    allocation=_joint_allocation,
    columns={"params": "params_nonembedding"},
    published=(
        Published(
            name="kaplan2020",
            values={"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
            convention=WEBTEXT,
            recipe="joint fit of sizes and data sizes, stopped early, 10 % dropout",
            source=_SECOND_HAND,
        ),
        Published(
            name="shehper_nanogpt",
            values={"N_c": 1.32e14, "D_c": 1.22e12, "alpha_N": 0.076, "alpha_D": 0.122},
            convention=OPENWEBTEXT,
            recipe="Kaplan's L(N, D) repeated with nanoGPT",
            source=_NANOGPT,
        ),
    ),
)


def _power(xp: Any, scale: Any, value: Any, power: Any) -> Any:
    return xp.exp(power * (xp.log(scale) - xp.log(value)))


def _learning(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    size = _power(xp, p["N_c"], x["params"], p["alpha_N"])
    return size + _power(xp, p["S_c"], x["steps_min"], p["alpha_S"])


kaplan_steps = Law(
    name="kaplan_steps",
    form="L(N, S_min) = (N_c/N)^alpha_N + (S_c/S_min)^alpha_S",
    variables=("params", "steps_min"),
    space=(
        positive("N_c", *_SCALES),
        exponent("alpha_N", 0.05, 0.1, 0.3),
        positive("S_c", 1e1, 1e2, 1e3, 1e4, 1e5),
        exponent("alpha_S", 0.3, 0.7, 1.2),
    ),
    formula=_learning,
    units="N and N_c parameters without embeddings, S_min and S_c steps at a batch far above the "
    "critical one, L nats per token",
    source=f"{_KAPLAN}, section 5",
    columns={"params": "params_nonembedding"},
)


def critical_tokens(params: Mapping[str, ArrayLike], loss: ArrayLike) -> Array:
    """B_crit(L) = B_star / L^(1/alpha_B) in tokens, out of the six constants."""
    own = {name: params[name] for name in critical_batch.parameters}
    return critical_batch.predict(own, loss=loss)


def loss_at_batch(
    params: Mapping[str, ArrayLike],
    params_nonembedding: ArrayLike,
    batch_tokens: ArrayLike,
    steps: ArrayLike,
) -> Array:
    """The one L with L = a + K (1 + c L^-m)^s, where a = (N_c/N)^alpha_N, K = (S_c/S)^alpha_S,
    c = B_star/B, m = 1/alpha_B, s = alpha_S: L(N, S_min) at S_min = S / (1 + B_crit(L)/B).

    One root: the left side rises and the right one falls. In y = ln L > ln a it is the root of

        phi(y) = ln(e^y - a) - ln K - s ln(1 + c e^(-m y)),

    which rises, with phi' > 1. It is concave, since ln(e^y - a) is and ln(1 + e^z) is convex. So
    Newton from a point left of the root converges to it from below. a + K is such a point, and so
    is every second value of the right side from there on.
    """
    p = {name: np.asarray(value, np.float64) for name, value in params.items()}
    size, batch, step = (
        np.asarray(each, np.float64) for each in (params_nonembedding, batch_tokens, steps)
    )
    a = (p["N_c"] / size) ** p["alpha_N"]
    s, m = p["alpha_S"], 1 / p["alpha_B"]
    log_k = s * (np.log(p["S_c"]) - np.log(step))
    log_c = np.log(p["B_star"]) - np.log(batch)

    def right_side(excess: Array) -> Array:
        """Of L - a, which keeps its digits where it is small beside a."""
        return np.exp(log_k + s * np.logaddexp(0.0, log_c - m * np.log(a + excess)))

    excess = right_side(right_side(np.exp(log_k)))
    for _ in range(NEWTON_STEPS):
        loss = a + excess
        z = log_c - m * np.log(loss)
        phi = np.log(excess) - log_k - s * np.logaddexp(0.0, z)
        slope = loss / excess + s * m * np.exp(-np.logaddexp(0.0, -z))
        excess = excess + loss * np.expm1(-phi / slope)
    return np.asarray(a + excess)
