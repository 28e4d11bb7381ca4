"""L(N, D, U) = E + A / N'^alpha + B / D'^beta, tokens repeated over U unique ones (Muennighoff
et al. 2023, arXiv 2305.16264).

The worth of repeated tokens, and of parameters beyond N_U, decays exponentially:

    D' = U_D (1 + R_D* (1 - exp(-R_D / R_D*))),   U_D = min(U, D),    R_D = D / U_D - 1
    N' = U_N (1 + R_N* (1 - exp(-R_N / R_N*))),   U_N = min(N, N_U),  R_N = N / U_N - 1

N_U is the size that Chinchilla's law pairs with U_D tokens, alpha A / N_U^alpha = beta B /
U_D^beta. With one epoch and N <= N_U it is Chinchilla's law. R* is the number of repetitions after
which another one is worth 1/e; repeating forever is worth 1 + R_D* epochs of fresh tokens.

The authors fit E, A, B, alpha = beta to runs of one epoch and hold them:
data_constrained.given(**chinchilla_fit.params) leaves R_D_star and R_N_star to fit.
N counts all parameters, embeddings included; L is in nats/token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scaling.laws._law import Array, Convention, Law, Published, exponent, offset, positive

BASE = ("E", "A", "B", "alpha", "beta")  # the constants of Chinchilla's law inside this one


def effective_epochs(epochs: ArrayLike, R_D_star: ArrayLike) -> Array:
    """D' / U_D: the epochs of fresh tokens that are worth these epochs over the same tokens."""
    repeats = np.maximum(np.asarray(epochs, np.float64) - 1, 0)
    kept = _worth(np, repeats, np.asarray(R_D_star, np.float64))
    return np.asarray(np.minimum(epochs, 1) * kept, np.float64)


def fed_params(xp: Any, p: Mapping[str, Any], unique_tokens: Any) -> Any:
    """N_U: the size whose compute-optimal data are `unique_tokens`."""
    log_ratio = xp.log(p["alpha"] * p["A"]) - xp.log(p["beta"] * p["B"])
    return xp.exp((log_ratio + p["beta"] * xp.log(unique_tokens)) / p["alpha"])


def _worth(xp: Any, repeats: Any, star: Any) -> Any:
    """1 + R* (1 - exp(-R / R*)): 1 when fresh, 1 + R* in the limit."""
    return 1 - star * xp.expm1(-repeats / star)


def _formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    unique = xp.minimum(x["unique_tokens"], x["tokens"])
    data = unique * _worth(xp, x["tokens"] / unique - 1, p["R_D_star"])
    fed = xp.minimum(x["params"], fed_params(xp, p, unique))
    size = fed * _worth(xp, x["params"] / fed - 1, p["R_N_star"])
    return (
        p["E"]
        + p["A"] * xp.exp(-p["alpha"] * xp.log(size))
        + p["B"] * xp.exp(-p["beta"] * xp.log(data))
    )


data_constrained = Law(
    name="data_constrained",
    form="L(N, D, U) = E + A / N'^alpha + B / D'^beta, worth of repeats decaying as R_D*, R_N*",
    variables=("params", "tokens", "unique_tokens"),
    space=(
        offset("E"),
        # not `solved`: N_U moves with A / B, so the law is linear in neither
        positive("A", 50, 500, 5000),
        positive("B", 50, 500, 5000),
        exponent("alpha", 0.2, 0.35, 0.5),
        exponent("beta", 0.2, 0.35, 0.5),
        positive("R_D_star", 5, 20, 80, 320, low=1e-6, high=1e9),
        positive("R_N_star", 0.6, 1.8, 5.4, 16, low=1e-6, high=1e9),
    ),
    formula=_formula,
    units="N parameters, D and U tokens, L and E nats per token (or per byte, as measured)",
    source="Muennighoff et al. 2023, arXiv 2305.16264, section 3.1",
    columns={"params": "params_total"},
    published=(
        Published(
            name="muennighoff2023",
            values={
                "E": math.exp(0.6254804),
                "A": math.exp(6.255414),
                "B": math.exp(7.3049974),
                "alpha": 0.3526596,
                "beta": 0.3526596,
                "R_D_star": 15.387756,
                "R_N_star": 5.309743,
            },
            convention=Convention(
                params="all parameters, embeddings included, as the authors' rounded sizes",
                tokens="training tokens of C4 (GPT-2 tokenizer)",
                loss="nats/token on C4 validation",
            ),
            recipe="E, A, B, alpha = beta from 54 single-epoch points of Chinchilla's C4 figure; "
            "then R_D*, R_N* by summed Huber 1e-3 on log residuals of 182 runs, objective "
            "0.01582594. Not its minimum: 0.01580466 lies at R_D* 95.4, R_N* 1.71, along a flat "
            "valley",
            source="arXiv 2305.16264, the authors' notebook, huggingface/datablations 1370131",
        ),
    ),
)
