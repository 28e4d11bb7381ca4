"""N*(C) = G C^a and D*(C) = G C^b: the compute-optimal size and data as power laws of compute.

Approaches 1 and 2 of Hoffmann et al. 2022 (arXiv 2203.15556) fit them. C is training FLOPs under
the definition of each set; where C = 6 N D, a + b = 1. Most papers print the exponent alone: those
are `quoted`, and only sets with their coefficient predict.

Intervals are at 95 %; those of Hoffmann et al. run from the 10th to the 90th percentile and stand
in the recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling.laws._law import Convention, Formula, Law, Published, amplitude, exponent


def _power(power: str) -> Formula:
    def formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
        return xp.exp(xp.log(p["G"]) + p[power] * xp.log(x["flops"]))

    return formula


_DEEPSEEK = Convention(
    params="non-embedding FLOPs per token, 72 L d^2 + 12 L d l_seq, in place of parameters",
    tokens="training tokens",
    loss="bits/byte",
)
_DEEPSEEK_RECIPE = "IsoFLOP, 8 budgets from 1e17 to 3e20, C = size x tokens"
_DEEPSEEK_SOURCE = "DeepSeek LLM 2024, arXiv 2401.02954, as secondary sources quote it"

_HOFFMANN = Convention(
    params="all parameters, embeddings included (params_total)",
    tokens="training tokens",
    loss="nats/token, smoothed training loss on MassiveText",
)
_HOFFMANN_SOURCE = "Hoffmann et al. 2022, arXiv 2203.15556, as secondary sources quote it"
_PORIAN_SOURCE = "Porian et al. 2024, arXiv 2406.19146, the authors' result files"
_PORIAN_RECIPE = (
    "budgets 1.25e16 x 2^i, i = 0 .. 11; Akima interpolation of ln L in ln N; "
    "edge minima left out; 1/variance weights; 1,000 noise resamples"
)
_PORIAN_STEPS = {  # the change of each from the one above, but for the last
    "kaplan": "Kaplan's set-up repeated",
    "head": "and the FLOPs of the last layer counted",
    "warmup": "and warmup scaled to the model",
    "decay": "and the cosine matched to the budget",
    "tuned": "and tuned learning rate, batch and beta2, no decay",
    "kaplan_tuned": "Kaplan's count with the tuned optimiser",
}
_PORIAN: dict[str, dict[str, tuple[float, float, float]]] = {  # a, and its 95 % interval
    "refinedweb": {
        "kaplan": (0.835, 0.82, 0.85),
        "head": (0.706, 0.69, 0.72),
        "warmup": (0.602, 0.59, 0.62),
        "decay": (0.571, 0.56, 0.59),
        "tuned": (0.497, 0.49, 0.50),
        "kaplan_tuned": (0.711, 0.70, 0.72),
    },
    "openwebtext2": {
        "kaplan": (0.864, 0.82, 0.90),
        "head": (0.699, 0.66, 0.72),
        "warmup": (0.603, 0.57, 0.63),
        "decay": (0.574, 0.54, 0.61),
        "tuned": (0.518, 0.49, 0.54),
    },
}


def _porian(corpus: str, step: str) -> Published:
    a, low, high = _PORIAN[corpus][step]
    head = not step.startswith("kaplan")  # counted in N and in C = 6 N D, or in neither
    return Published(
        name=f"porian2024_{corpus}_{step}",
        values={"a": a},
        convention=Convention(
            params="without input embeddings, with the head"
            if head
            else "without embeddings and head (params_nonembedding)",
            tokens=f"training tokens of {corpus}",
            loss="nats/token, validation" if head else "nats/token, smoothed training loss",
        ),
        recipe=f"{_PORIAN_STEPS[step]}; {_PORIAN_RECIPE}",
        source=_PORIAN_SOURCE,
        intervals={"a": (low, high)},
    )


def _deepseek(corpus: str, a: float) -> Published:
    return Published(
        name=f"deepseek2024_{corpus}",
        values={"a": a},
        convention=_DEEPSEEK,
        recipe=_DEEPSEEK_RECIPE,
        source=_DEEPSEEK_SOURCE,
    )


def _pearce(count: str, a: float, params: str, recipe: str) -> Published:
    return Published(
        name=f"pearce2024_{count}",
        values={"a": a},
        convention=Convention(params, "training tokens", "nats/token"),
        recipe=recipe,
        source="Pearce and Song 2024, arXiv 2406.12907, as secondary sources quote it",
    )


_EXPONENTS: tuple[Published, ...] = (
    Published(
        name="hoffmann2022_approach1",
        values={"a": 0.50, "b": 0.50},
        convention=_HOFFMANN,
        recipe="envelope of training curves, 1,500 log-spaced budgets; "
        "10th to 90th percentiles a (0.488, 0.502), b (0.501, 0.512)",
        source=_HOFFMANN_SOURCE,
    ),
    Published(
        name="hoffmann2022_approach2",
        values={"a": 0.49, "b": 0.51},
        convention=_HOFFMANN,
        recipe="IsoFLOP, 9 budgets from 6e18 to 3e21, parabolas in ln N; "
        "10th to 90th percentiles a (0.462, 0.534), b (0.483, 0.529)",
        source=_HOFFMANN_SOURCE,
    ),
    *(_porian(corpus, step) for corpus, steps in _PORIAN.items() for step in steps),
    _pearce(
        "nonembedding",
        0.76,
        "without embeddings (params_nonembedding)",
        "slope of the Chinchilla law over Kaplan's range of sizes: 0.74 to 0.78, here the middle",
    ),
    _pearce(
        "total",
        0.51,
        "all parameters (params_total)",
        "slope of the Chinchilla law over Kaplan's range of sizes",
    ),
    _deepseek("early_data", 0.450),
    _deepseek("current_data", 0.524),
    _deepseek("openwebtext2", 0.578),
)

params_allocation = Law(
    name="params_allocation",
    form="N* = G C^a",
    variables=("flops",),
    space=(amplitude("G"), exponent("a", 0.3, 0.5, 0.7)),
    formula=_power("a"),
    units="C training FLOPs; N* and G in parameters (or in the size of the set's convention)",
    source="Hoffmann et al. 2022, arXiv 2203.15556, Approaches 1 and 2",
    published=(
        Published(
            name="deepseek2024",
            values={"G": 0.1715, "a": 0.5243},
            convention=_DEEPSEEK,
            recipe=_DEEPSEEK_RECIPE,
            source=_DEEPSEEK_SOURCE,
        ),
    ),
    quoted=tuple(each for each in _EXPONENTS if "a" in each.values),
)

tokens_allocation = Law(
    name="tokens_allocation",
    form="D* = G C^b",
    variables=("flops",),
    space=(amplitude("G"), exponent("b", 0.3, 0.5, 0.7)),
    formula=_power("b"),
    units="C training FLOPs; D* and G in tokens",
    source="Hoffmann et al. 2022, arXiv 2203.15556, Approaches 1 and 2",
    published=(
        Published(
            name="deepseek2024",
            values={"G": 5.8316, "b": 0.4757},
            convention=_DEEPSEEK,
            recipe=_DEEPSEEK_RECIPE,
            source=_DEEPSEEK_SOURCE,
        ),
        Published(
            name="llama3",
            values={"G": 0.299, "b": 0.537},
            convention=Convention(
                params="all parameters",
                tokens="training tokens; the paper writes N*(C) for them",
                loss="nats/token, validation",
            ),
            recipe="IsoFLOP, parabolas, 6e18 to 1e22 FLOPs; used at 3.8e25 for 402B on 16.55T",
            source="Llama 3 2024, arXiv 2407.21783, as secondary sources quote it",
        ),
    ),
    quoted=tuple(each for each in _EXPONENTS if "b" in each.values),
)
