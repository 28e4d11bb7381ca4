"""Loss of training on one pool of text again and again (Goyal et al. 2024, arXiv 2404.07177).

    y = E + A (n_1 / n_0)^-b prod_(k >= 2) (n_k / n_(k-1))^-b_k,    b_k = b 2^-((k - 1) / tau)

n_k are the tokens seen by the end of epoch k over U unique ones, at most D; n_0 is 100,000. b is
the utility of a pool, and tau the epochs after which it has halved. Epochs after the 128th change
nothing. The authors' code multiplies E by the product too; this is the formula of their text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scaling.laws._law import Law, amplitude, exponent, offset, positive

UNIT = 1e5  # n_0
EPOCHS = np.arange(2.0, 129.0)


def _loss(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    first = xp.log(xp.minimum(x["tokens"], x["unique_tokens"]) / UNIT)
    epochs = xp.asarray(x["tokens"] / x["unique_tokens"])[..., None]
    grown = xp.log(xp.clip(epochs, EPOCHS - 1, EPOCHS) / (EPOCHS - 1))
    decay = 2 ** (-(EPOCHS - 1) / xp.asarray(p["tau"])[..., None])
    return p["E"] + p["A"] * xp.exp(-p["b"] * (first + xp.sum(decay * grown, axis=-1)))


filtering = Law(
    name="filtering",
    form="y = E + A (n_1 / n_0)^-b prod (n_k / n_(k-1))^-b_k, b_k = b 2^-((k - 1) / tau)",
    variables=("tokens", "unique_tokens"),
    space=(
        offset("E"),
        amplitude("A"),
        exponent("b", 0.05, 0.2, 0.6),
        positive("tau", 1, 5, 25, low=1e-2, high=1e6),
    ),
    formula=_loss,
    units="D and U tokens, L and E in the unit of the loss column",
    source="Goyal et al. 2024, arXiv 2404.07177",
)
