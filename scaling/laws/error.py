"""Err(L) = eps - k exp(-gamma L): average downstream error from loss (Gadre et al. 2024).

eps is the error of a model that knows nothing, k exp(-gamma L) the gain by lower loss. In
perplexity P = exp(L) it is eps - k P^-gamma. Averages over many tasks follow it; single tasks
seldom do. L is in nats/token on one fixed evaluation set; Err is a top-1 error between 0 and 1.

A fit takes the error as its `loss` column: fit(error, table, loss="err_avg17"). To predict the
error of a run that is not yet trained, chain it to a law of loss:
`analysis.inference.abilities.chained_laws`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling.laws._law import Convention, Law, Published, amplitude, positive, real


def _formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    return p["eps"] - p["k"] * xp.exp(-p["gamma"] * x["loss"])


def _released(name: str, corpus: str, tasks: int, **values: float) -> Published:
    return Published(
        name=name,
        values=values,
        convention=Convention(
            params="not in the law",
            tokens=f"not in the law; runs on {corpus}",
            loss=f"L nats/token on the C4 evaluation set; error is the mean over {tasks} tasks of "
            "1 - accuracy",
        ),
        recipe="least squares on raw error, 6 runs: 11M to 1.4B at M = 20, and 11M at M = 320",
        source="arXiv 2403.08540: the authors' fit code on their released runs, "
        "mlfoundations/scaling a003c49",
    )


error = Law(
    name="error",
    form="Err(L) = eps - k exp(-gamma L)",
    variables=("loss",),
    space=(
        real("eps", 0.5, low=0.0, solved=True),
        amplitude("k"),
        positive("gamma", 0.2, 0.5, 1.0, 2.0),
    ),
    formula=_formula,
    units="L nats per token; Err and eps as the fitted column, usually a fraction",
    source="Gadre et al. 2024, arXiv 2403.08540",
    published=(
        _released(
            "gadre2024_c4_17",
            "C4",
            17,
            eps=0.8497420413980282,
            k=2.0789063522739895,
            gamma=0.7561207082005721,
        ),
        _released(
            "gadre2024_c4_46",
            "C4",
            46,
            eps=0.7589494402300362,
            k=1.2885164157970552,
            gamma=0.9721644122763368,
        ),
        _released(
            "gadre2024_redpajama_17",
            "RedPajama",
            17,
            eps=0.8569919305544905,
            k=2.2064900054924528,
            gamma=0.7145905364625158,
        ),
        _released(
            "gadre2024_redpajama_46",
            "RedPajama",
            46,
            eps=0.7608495025495317,
            k=1.3228994293135972,
            gamma=0.8907080117686426,
        ),
        _released(
            "gadre2024_refinedweb_17",
            "RefinedWeb",
            17,
            eps=0.8652795479701183,
            k=2.2148145712169307,
            gamma=0.707048447426675,
        ),
        _released(
            "gadre2024_refinedweb_46",
            "RefinedWeb",
            46,
            eps=0.7676792088536335,
            k=1.128074431036832,
            gamma=0.8215228359131642,
        ),
    ),
)
