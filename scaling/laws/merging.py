"""L(N, k) = L* + B N^-beta + A N^-gamma / (k + b): loss of a merge of k experts of size N.

Wang et al. 2025, arXiv:2509.24244. The gain of more experts falls as 1 / k, and faster for larger
models where gamma > 0. Averages, task arithmetic, TIES and DARE are said to share the curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling.laws._law import Law, amplitude, exponent, offset, positive


def _formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    n, k = x["params"], x["experts"]
    return p["L"] + p["B"] * n ** -p["beta"] + p["A"] * n ** -p["gamma"] / (k + p["b"])


merging = Law(
    name="merging",
    form="L(N, k) = L* + B N^-beta + A N^-gamma / (k + b)",
    variables=("params", "experts"),
    space=(
        offset("L"),
        amplitude("B"),
        exponent("beta"),
        amplitude("A"),
        exponent("gamma"),
        positive("b", 0.1, 1.0, low=1e-3, high=100.0),
    ),
    formula=_formula,
    units="N parameters, k merged experts, L in the unit of the loss column",
    source="Wang et al. 2025, arXiv 2509.24244",
    columns={"params": "params_total", "experts": "parents_count"},
)
