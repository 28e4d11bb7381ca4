"""lg L(N, E) = a lg N + b lg E^ + c lg N lg E^ + d (Clark et al. 2022, arXiv 2202.01169, Eq. 1).

    1 / E^ = 1 / (E - 1 + 1 / (1/E_start - 1/E_max)) + 1 / E_max

N counts the parameters that one token sees, E the experts of a routed layer. The dense model has
E = 1 and E^ = E_start; E^ saturates at E_max. lg is the logarithm to base 10. c > 0 says that, at
fixed data, routing helps large models less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scaling.laws._law import Array, Convention, Law, Published, positive, real


def saturated(experts: Any, start: Any, most: Any) -> Any:
    """E^, from E_start at E = 1 to E_max."""
    return 1 / (1 / (experts - 1 + 1 / (1 / start - 1 / most)) + 1 / most)


def _formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    log_n = xp.log10(x["params"])
    log_e = xp.log10(saturated(x["experts"], p["E_start"], p["E_max"]))
    log_loss = p["a"] * log_n + p["b"] * log_e + p["c"] * log_n * log_e + p["d"]
    return xp.exp(math.log(10) * log_loss)


def effective_params(
    constants: Mapping[str, ArrayLike], params: ArrayLike, experts: ArrayLike
) -> Array:
    """N_bar, the size of the dense model of the same loss: L(N_bar, 1) = L(N, E).

    lg N_bar = (a lg N + b lg E^ + c lg N lg E^ - b lg E_start) / (a + c lg E_start).
    """
    p = {name: np.asarray(value, np.float64) for name, value in constants.items()}
    log_n = np.log10(np.asarray(params, np.float64))
    ratio = np.log10(saturated(np.asarray(experts, np.float64), p["E_start"], p["E_max"]))
    dense = np.log10(p["E_start"])
    slope = p["a"] + p["c"] * dense
    return np.asarray(
        10 ** ((p["a"] * log_n + p["b"] * (ratio - dense) + p["c"] * log_n * ratio) / slope)
    )


def cutoff(constants: Mapping[str, ArrayLike]) -> Array:
    """N_cutoff = 10^(-b/c): the size beyond which more experts no longer lower the loss."""
    b, c = (np.asarray(constants[name], np.float64) for name in ("b", "c"))
    return np.asarray(10 ** (-b / c))


_CONVENTION = Convention(
    params="parameters that one token sees (dense_parameter_count), 16.5 M to 1.3 B",
    tokens="fixed: 130e9 tokens (249,000 steps of 256 sequences of 2048)",
    loss="nats/token, validation set of MassiveText",
    log_base="10",
)


def _published(name: str, values: tuple[float, ...], cutoff_as_printed: str) -> Published:
    return Published(
        name=name,
        values=dict(zip(("a", "b", "c", "d", "E_start", "E_max"), values, strict=True)),
        convention=_CONVENTION,
        recipe="as in the authors' example: squared log residuals of last checkpoints, k = 1, "
        "every second layer routed; "
        f"printed to three decimals, which do not give the printed cutoff of {cutoff_as_printed}",
        source="Clark et al. 2022, arXiv 2202.01169, Table 3, as quoted by others",
    )


routed = Law(
    name="routed",
    form="lg L(N, E) = a lg N + b lg E^ + c lg N lg E^ + d, "
    "1 / E^ = 1 / (E - 1 + 1 / (1/E_start - 1/E_max)) + 1 / E_max",
    variables=("params", "experts"),
    space=(
        real("a", -0.05, -0.1),
        real("b", -0.1, -0.3),
        real("c", 0.0, 0.02),
        real("d", 1.0, 1.5),
        # the ranges do not overlap, so that E_start < E_max wherever the search goes
        positive("E_start", 1.5, 4.0, low=1.0, high=30.0),
        positive("E_max", 100.0, 500.0, low=60.0, high=1e6),
    ),
    formula=_formula,
    units="N parameters seen by one token, E experts, L nats per token; lg to base 10",
    source="Clark et al. 2022, arXiv 2202.01169, Eq. 1",
    columns={"params": "params_active"},
    published=(
        _published("clark2022_sbase", (-0.082, -0.108, 0.009, 1.104, 1.847, 314.478), "937e9"),
        _published("clark2022_rlr", (-0.083, -0.126, 0.012, 1.111, 1.880, 469.982), "85e9"),
        _published("clark2022_hash", (-0.087, -0.136, 0.012, 1.157, 4.175, 477.741), "83e9"),
    ),
)
