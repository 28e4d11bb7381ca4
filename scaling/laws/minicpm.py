"""L(N, D) = C_N N^-alpha + C_D D^-beta + L0 (MiniCPM, Hu et al. 2024, arXiv 2404.06395).

N counts parameters without embeddings, D is tokens, and C = 6 N D. L is the loss per byte, its mean
over five held-out corpora.

The `quoted` numbers are means over corpora. They are no law: C_N, C_D and L0 are
drawn in a figure and not printed. The mean eta is not the (beta - alpha) / (alpha + beta) of the
mean exponents. Nor do they give the published 192 tokens per parameter: at C = 1e21 the ratio
formula gives about 1e4. A mean of ratios is not the ratio of means: average the ratios.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from numpy.typing import ArrayLike

from scaling.laws._law import Array, Convention, Published, Term, additive
from scaling.laws.chinchilla import allocation as chinchilla_allocation


def allocation(params: Mapping[str, ArrayLike], flops: ArrayLike) -> tuple[Array, Array]:
    """N*/D* = K^2 (C/6)^eta, K = (alpha C_N / (beta C_D))^(1/(alpha + beta)),
    eta = (beta - alpha) / (alpha + beta): Chinchilla's optimum under other names."""
    named = {"A": "C_N", "B": "C_D", "alpha": "alpha", "beta": "beta"}
    return chinchilla_allocation({ours: params[name] for ours, name in named.items()}, flops)


minicpm = replace(
    additive(
        "minicpm",
        form="L(N, D) = C_N N^-alpha + C_D D^-beta + L0",
        units="N parameters without embeddings, D tokens, L and L0 nats per byte",
        source="Hu et al. 2024, arXiv 2404.06395",
        constant="L0",
        terms=(Term("params", "C_N", "alpha"), Term("tokens", "C_D", "beta")),
        allocation=allocation,
        columns={"params": "params_nonembedding"},
    ),
    quoted=(
        Published(
            name="minicpm2024_average",
            values={
                "alpha": 0.29,
                "beta": 0.23,
                "K_squared": 0.01,
                "eta": -0.10,
                "tokens_per_param": 192.0,
            },
            convention=Convention(
                params="parameters without embeddings (params_nonembedding)",
                tokens="training tokens",
                loss="nats/byte, mean over five held-out corpora",
            ),
            recipe="scipy curve_fit per corpus, then the mean over corpora of each number; sizes "
            "0.04B to 2B, each decayed at 10 N to 60 N tokens from one stable run",
            source="arXiv 2404.06395, text",
        ),
    ),
)
