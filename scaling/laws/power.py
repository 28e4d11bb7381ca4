"""Power laws of one variable: L(x) = E + A / x^alpha, and L(x) = A / x^alpha.

x is any positive scale: parameters, tokens or FLOPs, named by the column that the fit is given.
Kaplan et al. 2020 write the second as (x_c / x)^alpha, so A = x_c^alpha; `scaling.laws.kaplan`
holds their constants in that form.
"""

from __future__ import annotations

from scaling.laws._law import Convention, Published, Term, additive

power_law = additive(
    "power_law",
    form="L(x) = E + A / x^alpha",
    units="x as its column says; L and E in the unit of the loss column",
    source="Hestness et al. 2017, arXiv 1712.00409 (learning curve with irreducible error)",
    constant="E",
    terms=(Term("x", "A", "alpha"),),
)

power_law_no_offset = additive(
    "power_law_no_offset",
    form="L(x) = A / x^alpha",
    units="x as its column says; L in the unit of the loss column",
    source="Kaplan et al. 2020, arXiv 2001.08361, L(N) = (N_c / N)^alpha_N",
    terms=(Term("x", "A", "alpha"),),
    published=(
        Published(
            name="shehper_nanogpt_params",
            values={"A": 3.8e13**0.082, "alpha": 0.082},
            convention=Convention(
                params="non-embedding parameters (params_nonembedding), up to 6.3 M",
                tokens="GPT-2 BPE tokens of OpenWebText",
                loss="nats/token",
            ),
            recipe="Kaplan's L(N) repeated at small scale: N_c 3.8e13, alpha_N 0.082",
            source="shehper/scaling_laws, README",
        ),
        Published(
            name="hestness2017_word_lm",
            values={"A": 11.9, "alpha": 0.066},
            convention=Convention(
                params="best size found for each training set",
                tokens="words of the training set (x)",
                loss="cross-entropy, nats/word",
            ),
            recipe="best validation error per shard; log-log line over the power-law region",
            source="Hestness et al. 2017, arXiv 1712.00409, as quoted by later papers",
        ),
    ),
)
