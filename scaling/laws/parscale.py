"""L(N, P) = E + A / (N (1 + k ln P))^alpha: loss of a model that runs P streams in parallel.

Chen et al. 2025 (ParScale), arXiv 2505.10475. P streams of one set of weights are worth a factor of
1 + k ln P in parameters. The authors write the second term as (A' / (N (1 + k ln P)))^alpha.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling.laws._law import Convention, Law, Published, amplitude, exponent, offset, positive

_CONVENTION = Convention(
    params="parameters without embeddings, those of the streams' prefixes included",
    tokens="42e9 for every run",
    loss="nats/token",
)
_RECIPE = "Huber 1e-3 on log residuals of 24 runs, L-BFGS-B from a grid; the authors' script"


def _formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    worth = x["params"] * (1 + p["k"] * xp.log(x["streams"]))
    return p["E"] + p["A"] * worth ** -p["alpha"]


def _published(name: str, E: float, A: float, alpha: float, k: float) -> Published:
    return Published(
        name=name,
        values={"E": E, "A": (1e9 * A) ** alpha, "alpha": alpha, "k": k},
        convention=_CONVENTION,
        recipe=_RECIPE,
        source="QwenLM/ParScale, parametric_fit.py, run again on its own points",
    )


parscale = Law(
    name="parscale",
    form="L(N, P) = E + A / (N (1 + k ln P))^alpha",
    variables=("params", "streams"),
    space=(offset("E"), amplitude("A"), exponent("alpha"), positive("k", 0.3, low=1e-4, high=10.0)),
    formula=_formula,
    units="N parameters without embeddings, P parallel streams, L in the unit of the loss column",
    source="Chen et al. 2025, arXiv 2505.10475",
    published=(
        _published("parscale_stack", 0.6912, 0.01131, 0.18936, 0.39345),
        _published("parscale_pile", 1.28859, 0.19752, 0.19628, 0.33444),
    ),
    columns={"params": "params_nonembedding"},
)
