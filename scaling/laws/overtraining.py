"""L(C, M) = E + (a M^eta + b M^-eta) / C^eta,  C = 6 N D,  M = D / N  (Gadre et al. 2024).

Chinchilla's law with one exponent, alpha = beta = 2 eta, in the coordinates of over-training:
a = A 6^eta and b = B 6^eta. At a fixed M, tokens per parameter, the loss is a power law of compute.
The exponent is the same for every M. At a given compute the loss is least at

    M* = (b / a)^(1 / (2 eta)).

N counts all parameters, embeddings included; D is training tokens; L is in nats/token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scaling.laws._law import Array, Convention, Law, Published, amplitude, exponent, offset


def run_at(flops: ArrayLike, tokens_per_param: ArrayLike) -> dict[str, Array]:
    """The run of compute C and ratio M, as the variables of the law: N = sqrt(C / (6 M)) and
    D = M N. So: law.predict(params, **run_at(1e21, 320))."""
    ratio = np.asarray(tokens_per_param, np.float64)
    params = np.sqrt(np.asarray(flops, np.float64) / (6 * ratio))
    return {"params": params, "tokens": ratio * params}


def best_ratio(params: Mapping[str, ArrayLike]) -> Array:
    """M* = (b / a)^(1 / (2 eta)) tokens per parameter, at every compute."""
    a, b, eta = (np.asarray(params[name], np.float64) for name in ("a", "b", "eta"))
    return np.exp((np.log(b) - np.log(a)) / (2 * eta))


def allocation(params: Mapping[str, ArrayLike], flops: ArrayLike) -> tuple[Array, Array]:
    """N* = sqrt(C / (6 M*)), D* = M* N*: both grow as the square root of compute."""
    run = run_at(flops, best_ratio(params))
    return run["params"], run["tokens"]


def from_released_code(p: float, r: float, q: float, E: float) -> dict[str, float]:
    """The constants of this law from those of the authors' code, which fits
    L = p N^q + r 6^(q/2) (M N)^q + E: eta = -q / 2, a = p 6^eta, b = r."""
    eta = -q / 2
    return {"E": E, "a": p * 6**eta, "b": r, "eta": eta}


def _formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    log_params, log_tokens = xp.log(x["params"]), xp.log(x["tokens"])
    log_flops, log_ratio = math.log(6) + log_params + log_tokens, log_tokens - log_params
    bowl = p["a"] * xp.exp(p["eta"] * log_ratio) + p["b"] * xp.exp(-p["eta"] * log_ratio)
    return p["E"] + bowl * xp.exp(-p["eta"] * log_flops)


def _released(name: str, corpus: str, **code: float) -> Published:
    return Published(
        name=name,
        values=from_released_code(**code),
        convention=Convention(
            params="all parameters, embeddings included (params_total)",
            tokens=f"training tokens of {corpus} (GPT-NeoX tokenizer)",
            loss="nats/token on the C4 evaluation set",
        ),
        recipe="least squares on raw loss, 5 runs: 11M to 411M at M = 20, and 11M at M = 320",
        source="arXiv 2403.08540: the authors' fit code on their released runs, "
        "mlfoundations/scaling a003c49",
    )


overtraining = Law(
    name="overtraining",
    form="L(C, M) = E + (a M^eta + b M^-eta) / C^eta, C = 6 N D, M = D / N",
    variables=("params", "tokens"),
    space=(offset("E"), amplitude("a"), amplitude("b"), exponent("eta", 0.05, 0.1, 0.2, 0.4)),
    formula=_formula,
    units="N parameters, D tokens, C FLOPs, L and E nats per token (or per byte, as measured)",
    source="Gadre et al. 2024, arXiv 2403.08540",
    allocation=allocation,
    columns={"params": "params_total"},
    published=(
        _released(
            "gadre2024_c4",
            "C4",
            p=113.69260120278275,
            r=189.5155169859373,
            q=-0.2424722379222002,
            E=1.508260530846704,
        ),
        _released(
            "gadre2024_redpajama",
            "RedPajama",
            p=166.21098002823203,
            r=366.68716263632405,
            q=-0.2728507008774562,
            E=1.8366483654949728,
        ),
        _released(
            "gadre2024_refinedweb",
            "RefinedWeb",
            p=125.09569443855851,
            r=246.20668381387105,
            q=-0.25439484403632157,
            E=1.7344620839139389,
        ),
    ),
)
