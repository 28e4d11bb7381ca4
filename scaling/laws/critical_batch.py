"""The critical batch size, above which more batch saves few steps (McCandlish et al. 2018).

A loss is reached in S steps of B tokens, E = B S tokens in all, on the hyperbola

    (S / S_min - 1) (E / E_min - 1) = 1,   B_crit = E_min / S_min

so S = S_min (1 + B_crit / B) and E = E_min (1 + B / B_crit): at B = B_crit a run takes twice the
least steps and twice the least tokens. Source: Kaplan et al. 2020, arXiv 2001.08361, section 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scaling.laws._law import Array, Convention, Law, Published, amplitude, exponent, positive


def steps_min(steps: ArrayLike, batch: ArrayLike, critical: ArrayLike) -> Array:
    """S_min = S / (1 + B_crit / B): the steps that an unlimited batch would take."""
    return np.asarray(steps, np.float64) / (1 + np.divide(critical, batch))


def tokens_min(tokens: ArrayLike, batch: ArrayLike, critical: ArrayLike) -> Array:
    """E_min = E / (1 + B / B_crit): the tokens that a vanishing batch would take."""
    return np.asarray(tokens, np.float64) / (1 + np.divide(batch, critical))


def steps_at(batch: ArrayLike, least: ArrayLike, critical: ArrayLike) -> Array:
    """S = S_min (1 + B_crit / B), with `least` = S_min."""
    return np.asarray(least, np.float64) * (1 + np.divide(critical, batch))


def tokens_at(batch: ArrayLike, least: ArrayLike, critical: ArrayLike) -> Array:
    """E = E_min (1 + B / B_crit), with `least` = E_min."""
    return np.asarray(least, np.float64) * (1 + np.divide(batch, critical))


def overhead_batch(critical: ArrayLike, base: ArrayLike, overhead: float = 0.2) -> Array:
    """The batch at which steps exceed those of perfect scaling from `base` by `overhead`:

        S(B) = (1 + overhead) S(base) base / B,   so   B = overhead B_crit + (1 + overhead) base

    Zhang et al. 2024 (arXiv 2410.21676) call this the critical batch size, with base = 256
    sequences and an overhead of 20 %: for a large B_crit a fifth of that above.
    """
    return overhead * np.asarray(critical, np.float64) + (1 + overhead) * np.asarray(base)


def _of_loss(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    return p["B_star"] * xp.exp(-xp.log(x["loss"]) / p["alpha_B"])


critical_batch = Law(
    name="critical_batch",
    form="B_crit(L) = B_star / L^(1 / alpha_B)",
    variables=("loss",),
    space=(amplitude("B_star"), positive("alpha_B", 0.1, 0.2, 0.4, low=0.01, high=100.0)),
    formula=_of_loss,
    units="L nats per token; B_crit and B_star tokens",
    source="Kaplan et al. 2020, arXiv 2001.08361, section 5.1",
    published=(
        Published(
            name="kaplan2020",
            values={"B_star": 2.0e8, "alpha_B": 0.21},
            convention=Convention(
                params="not a variable",
                tokens="batch in tokens, BPE 50257, context 1024",
                loss="nats/token on WebText2",
            ),
            recipe="the hyperbola fitted at fixed losses, then a line in log-log",
            source="arXiv 2001.08361, section 5.1",
        ),
        Published(
            name="shehper_nanogpt",
            values={"B_star": 2.2e7, "alpha_B": 1 / 4.26},
            convention=Convention(
                params="not a variable; fitted at up to 6.3M non-embedding parameters",
                tokens="batch in tokens, GPT-2 BPE",
                loss="nats/token on OpenWebText",
            ),
            recipe="Kaplan's recipe repeated at small scale: 2.2e7 L^-4.26",
            source="shehper/scaling_laws, README",
        ),
        Published(
            name="minicpm2024",
            values={"B_star": 1.21e9, "alpha_B": 1 / 6.24},
            convention=Convention(
                params="not a variable; fitted at 9M, 30M and 170M non-embedding parameters",
                tokens="batch in tokens, MiniCPM tokenizer",
                loss="nats/token on C4",
            ),
            recipe="the best batch, not B_crit: parabolas through points of equal loss, their "
            "minima joined: 1.21e9 / L^6.24",
            source="Hu et al. 2024, arXiv 2404.06395",
        ),
    ),
)

steps_to_loss = Law(
    name="steps_to_loss",
    form="S(B) = S_min + E_min / B = S_min (1 + B_crit / B), B_crit = E_min / S_min",
    variables=("batch",),
    space=(amplitude("S_min"), amplitude("E_min")),
    formula=lambda xp, p, x: p["S_min"] + p["E_min"] / x["batch"],
    units="B tokens or sequences, and E_min and B_crit with it; S steps to a given loss",
    source="McCandlish et al. 2018, arXiv 1812.06162; Kaplan et al. 2020, arXiv 2001.08361",
)

_ZHANG_POWER = 0.46827823

critical_batch_of_size = Law(
    name="critical_batch_of_size",
    form="CBS(N) = c N^p",
    variables=("params",),
    space=(amplitude("c"), exponent("p")),
    formula=lambda xp, p, x: p["c"] * xp.exp(p["p"] * xp.log(x["params"])),
    units="N parameters; CBS and c in the unit of the batch column",
    source="Zhang et al. 2024, arXiv 2410.21676",
    columns={"params": "params_nonembedding"},
    published=(
        Published(
            name="zhang2024",
            values={"c": 93.196814 * 1e6**-_ZHANG_POWER, "p": _ZHANG_POWER},
            convention=Convention(
                params="non-embedding parameters, 85M to 1.2B",
                tokens="batch in sequences of 512 tokens; D about 20 N, so N and D rise together",
                loss="a target in nats/token on C4 for each size",
            ),
            recipe="printed as 93.20 N^0.47 with N in millions; least squares on ln CBS, CBS by "
            "the 20 % overhead rule (`overhead_batch`) from 256 sequences",
            source="hlzhang109/critical-batch-size, plots/chinchilla.ipynb",
        ),
    ),
)
