"""L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, arXiv 2203.15556, Approach 3).

N counts all parameters, embeddings included; D is training tokens; C = 6 N D; L in nats/token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from scaling.laws._law import Array, Convention, Published, Term, additive


def allocation(params: Mapping[str, ArrayLike], flops: ArrayLike) -> tuple[Array, Array]:
    """N* = G (C/6)^(beta/(alpha+beta)), D* = (C/6)^(alpha/(alpha+beta)) / G,
    G = (alpha A / (beta B))^(1/(alpha+beta)).

    The stationary point of L along N D = C/6. Source: Hoffmann et al. 2022, section 3.3.
    """
    A, B, alpha, beta = (
        np.asarray(params[name], np.float64) for name in ("A", "B", "alpha", "beta")
    )
    total = alpha + beta
    log_g = (np.log(alpha * A) - np.log(beta * B)) / total
    log_nd = np.log(np.asarray(flops, np.float64) / 6)
    return np.exp(log_g + log_nd * beta / total), np.exp(-log_g + log_nd * alpha / total)


_CONVENTION = Convention(
    params="all parameters, embeddings included (params_total)",
    tokens="training tokens",
    loss="nats/token, smoothed training loss on MassiveText",
)
_EPOCH_POINTS = "240 points read from Hoffmann et al. Fig. 4: 245 less the 5 highest losses"
_EPOCH_INTERVALS = {  # one bootstrap, of the Huber objective, beside both of the sets below
    "E": (1.769, 1.871),
    "A": (285.214, 743.626),
    "B": (1042.357, 5810.344),
    "alpha": (0.317, 0.373),
    "beta": (0.331, 0.415),
}
# of (E, ln A, ln B, ln alpha, ln beta): 4,000 pairs resamples of the Huber fit to the same points,
# by `analysis.fit`; only the marginal intervals above were published
_EPOCH_COVARIANCE = (
    (0.000633266021, 0.00366614752, 0.00640278961, 0.000628009866, 0.000833292879),
    (0.00366614752, 0.0623902468, -0.0262699485, 0.0108144809, -0.00356280142),
    (0.00640278961, -0.0262699485, 0.172460932, -0.00479168968, 0.022475009),
    (0.000628009866, 0.0108144809, -0.00479168968, 0.00187886519, -0.000650184598),
    (0.000833292879, -0.00356280142, 0.022475009, -0.000650184598, 0.00294091002),
)

chinchilla = additive(
    "chinchilla",
    form="L(N, D) = E + A / N^alpha + B / D^beta",
    units="N parameters, D tokens, L and E nats per token (or per byte, as measured)",
    source="Hoffmann et al. 2022, arXiv 2203.15556, Approach 3",
    constant="E",
    terms=(Term("params", "A", "alpha"), Term("tokens", "B", "beta")),
    allocation=allocation,
    columns={"params": "params_total"},
    published=(
        Published(
            name="hoffmann2022",
            values={
                "E": math.exp(0.5267228),
                "A": math.exp(6.0073404),
                "B": math.exp(6.0179186),
                "alpha": 0.33917084,
                "beta": 0.2849083,
            },
            convention=_CONVENTION,
            recipe="Huber 1e-3 on log residuals, L-BFGS from a grid; loss averaged, not summed, "
            "so the optimiser stopped early (Besiroglu et al. 2024)",
            source="arXiv 2203.15556, precision of its TeX source",
        ),
        Published(
            name="besiroglu2024",
            values={
                "E": math.exp(0.597112),
                "A": math.exp(6.177956),
                "B": math.exp(7.642732),
                "alpha": 0.347813,
                "beta": 0.365854,
            },
            convention=_CONVENTION,
            recipe=f"Huber-density likelihood with a fitted scale, in effect least absolute log "
            f"residuals; {_EPOCH_POINTS}",
            source="Besiroglu et al. 2024, arXiv 2404.10102, the authors' notebook",
            intervals=_EPOCH_INTERVALS,
            covariance=_EPOCH_COVARIANCE,
        ),
        Published(
            name="besiroglu2024_huber",
            values={
                "E": 1.81724,
                "A": 477.84,
                "B": 2143.86,
                "alpha": 0.347313,
                "beta": 0.367183,
            },
            convention=_CONVENTION,
            recipe=f"summed Huber 1e-3 on log residuals, objective 0.001018274; {_EPOCH_POINTS}",
            source="Besiroglu et al. 2024, arXiv 2404.10102, the authors' notebook",
            intervals=_EPOCH_INTERVALS,
            covariance=_EPOCH_COVARIANCE,
        ),
        Published(
            name="muennighoff2023_c4",
            values={
                "E": math.exp(0.6254804),
                "A": math.exp(6.255414),
                "B": math.exp(7.3049974),
                "alpha": 0.3526596,
                "beta": 0.3526596,
            },
            convention=Convention(
                params="all parameters, embeddings included (params_total)",
                tokens="training tokens, each seen once",
                loss="nats/token, C4",
            ),
            recipe="alpha = beta tied, Huber 1e-3 on log residuals, 54 points of single-epoch C4 "
            "IsoFLOP curves read from Hoffmann et al.",
            source="Muennighoff et al. 2023, arXiv 2305.16264, the authors' notebook",
        ),
    ),
)
