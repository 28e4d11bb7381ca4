"""Loss curves under any schedule: a power law of the summed rate, less a term of annealing.

    S1(t) = sum_{i <= t} eta_i,   S_k(t) = sum_{i = k .. t} eta_i,   drop_k = eta_{k-1} - eta_k

multi-power law (Luo et al. 2025, arXiv 2503.12811):
    L(t) = L0 + A (S1(t) + S_W)^-alpha - B sum_{k <= t} drop_k G(eta_k^-gamma S_k(t)),
    G(x) = 1 - (1 + C x)^-beta
momentum law (Tissue et al. 2024, arXiv 2408.11029):
    L(t) = L0 + A S1(t)^-alpha - C S2(t),   S2(t) = sum_{i <= t} sum_{k <= i} drop_k lambda^(i-k)

Both are laws of the variables that `features` makes of a schedule. lr_sum = S1 is (n, 1). The
others are (n, K), K changes of the learning rate: drop, drop_lr = eta_k, lr_since = S_k(t) and
steps_since = t - k + 1. The loss is (n,), one for each of the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.common.errors import UserError
from scaling.laws._law import (
    Array,
    Convention,
    Law,
    Published,
    amplitude,
    exponent,
    positive,
    real,
)

VARIABLES = ("lr_sum", "drop", "drop_lr", "lr_since", "steps_since")
PER_OCTAVE = 4  # within 1e-5 nats of the full sum on the schedules of Luo et al.


def features(lrs: ArrayLike, steps: ArrayLike, per_octave: float = PER_OCTAVE) -> dict[str, Array]:
    """The variables of these laws at `steps` (n,) of the schedule `lrs` (T,), lrs[t] at step t.

    The schedule covers the whole run. Its warm-up counts in every sum: S1 is the paper's S1 + S_W,
    and rises are negative drops. Both laws sum a kernel of ln eta_k and ln (t - k + 1).
    Neighbouring changes that agree in both to 1/per_octave of an octave are merged into
    their mean. The error falls as 1/per_octave^2. A schedule of few changes is exact.
    """
    eta, asked = _checked(lrs, steps)
    total = np.cumsum(eta)
    at = np.flatnonzero(np.diff(eta)) + 1
    drop, lr, before = eta[at - 1] - eta[at], eta[at], total[at - 1]
    with np.errstate(divide="ignore"):
        height = np.floor(per_octave * np.log2(lr))
    rows = []
    for step in asked:
        seen = slice(np.searchsorted(at, step, side="right"))
        distance = step - at[seen] + 1.0
        octave = np.floor(per_octave * np.log2(distance))
        rows.append(
            _merged(
                drop[seen],
                (lr[seen], total[step] - before[seen], distance),
                (octave, height[seen], np.sign(drop[seen])),
            )
        )
    padded = np.zeros((len(rows), 4, max(row.shape[1] for row in rows)))
    for out, row in zip(padded, rows, strict=True):
        out[:, : row.shape[1]] = row
    amount, rate, since, distance = padded.transpose(1, 0, 2)
    rate = np.where(since > 0, rate, 1.0)  # at a rate of 0 since then, any value is right
    if (rate == 0).any():
        raise UserError(
            "lrs: the learning rate falls to 0 and rises again: eta_k^-gamma is infinite"
        )
    return dict(zip(VARIABLES, (total[asked][:, None], amount, rate, since, distance), strict=True))


def _merged(drop: Array, others: tuple[Array, ...], cells: tuple[Array, ...]) -> Array:
    """The sum of the drops, and the drop-weighted means of the others, of each stretch of
    neighbours that share all their `cells`: (1 + others, stretches)."""
    new = np.any([np.diff(cell) != 0 for cell in cells], axis=0)
    first = np.flatnonzero(np.concatenate([[True], new]))[: len(drop)]
    amount = np.add.reduceat(drop, first)
    return np.stack([amount, *(np.add.reduceat(drop * each, first) / amount for each in others)])


def _checked(lrs: ArrayLike, steps: ArrayLike) -> tuple[Array, NDArray[np.intp]]:
    eta, asked = np.asarray(lrs, np.float64), np.asarray(steps)
    if eta.ndim != 1 or not (np.isfinite(eta) & (eta >= 0)).all():
        raise UserError("lrs: need the learning rate of every step, finite and not negative")
    if asked.ndim != 1 or asked.size == 0 or not np.issubdtype(asked.dtype, np.integer):
        raise UserError("steps: need a list of whole numbers, the steps at which to predict")
    if asked.min() < 0 or asked.max() >= len(eta):
        raise UserError(
            f"steps: {asked.min()} to {asked.max()} asked of a schedule that gives the learning "
            f"rates of steps 0 to {len(eta) - 1}"
        )
    if not eta[: asked.min() + 1].any():
        raise UserError(
            f"steps: up to step {asked.min()} the learning rate is 0, so nothing is learned"
        )
    return eta, asked.astype(np.intp)


def _multi_power(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    reach = p["C"] * x["drop_lr"] ** -p["gamma"] * x["lr_since"]
    drops = x["drop"] * -xp.expm1(-p["beta"] * xp.log1p(reach))
    annealed = xp.sum(drops, axis=-1, keepdims=True)
    return (p["L0"] + p["A"] * x["lr_sum"] ** -p["alpha"] - p["B"] * annealed)[..., 0]


def _momentum(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    # sum_{i = k .. t} lambda^(i-k) = (1 - lambda^(t-k+1)) / (1 - lambda)
    reach = -xp.expm1(x["steps_since"] * xp.log1p(-p["forgetting"])) / p["forgetting"]
    annealed = xp.sum(x["drop"] * reach, axis=-1, keepdims=True)
    return (p["L0"] + p["A"] * x["lr_sum"] ** -p["alpha"] - p["C"] * annealed)[..., 0]


def _published(
    size: str, L0: float, A: float, alpha: float, B: float, C: float, beta: float, gamma: float
) -> Published:
    return Published(
        name=f"luo2025_{size}",
        values={"L0": L0, "A": A, "alpha": alpha, "B": B, "C": C, "beta": beta, "gamma": gamma},
        convention=Convention(
            params=f"one Llama-style decoder of {size} parameters; size does not enter the law",
            tokens="optimizer steps from 0; learning rates as set, 2160 steps of linear warm-up "
            "from 0 to 3e-4 in every sum (S_W)",
            loss="nats/token, validation",
        ),
        recipe="summed Huber 1e-3 on log residuals over cosine_24000, constant_24000 and wsdcon_9; "
        "AdamW, stopped after 20 steps without gain: short of the minimum",
        source="Luo et al. 2025, arXiv 2503.12811, the authors' repository (src/config.py)",
    )


_START = (  # L0 is no floor: annealing goes below it
    real("L0", 0.5, low=0.0, solved=True),
    amplitude("A"),
    exponent("alpha", 0.3, 0.6),
)

multi_power = Law(
    name="multi_power",
    form="L(t) = L0 + A (S1(t) + S_W)^-alpha "
    "- B sum_k (eta_{k-1} - eta_k) [1 - (1 + C eta_k^-gamma S_k(t))^-beta]",
    variables=VARIABLES,
    space=(
        *_START,
        amplitude("B"),
        positive("C", 0.5, 2.0),
        exponent("beta", 0.3, 0.6),
        exponent("gamma", 0.3, 0.6),
    ),
    formula=_multi_power,
    units="variables by `scaling.laws.annealing.features`; L nats per token",
    source="Luo et al. 2025, arXiv 2503.12811",
    published=(
        _published(
            "25M",
            3.04045406,
            0.52468604,
            0.50786857,
            363.78751622,
            2.06560812,
            0.58279013,
            0.64142257,
        ),
        _published(
            "100M",
            2.6514477,
            0.60115152,
            0.45295811,
            437.9464276,
            2.13245612,
            0.59785199,
            0.65523644,
        ),
        _published(
            "400M",
            2.37474466,
            0.65421216,
            0.42878731,
            523.42464371,
            2.02462735,
            0.59350493,
            0.63472457,
        ),
    ),
)

momentum = Law(
    name="annealing_momentum",
    form="L(t) = L0 + A S1(t)^-alpha - C sum_{i<=t} sum_{k<=i} (eta_{k-1} - eta_k) lambda^(i-k), "
    "lambda = 1 - forgetting",
    variables=VARIABLES,
    space=(
        *_START,
        amplitude("C"),
        positive("forgetting", 1e-3, 1e-2, low=1e-6, high=0.5),
    ),
    formula=_momentum,
    units="variables by `scaling.laws.annealing.features`; L nats per token",
    source="Tissue et al. 2024, arXiv 2408.11029",
)
