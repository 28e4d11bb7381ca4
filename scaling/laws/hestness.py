"""Learning curves and best sizes (Hestness et al. 2017, arXiv 1712.00409).

    eps(m) = a m^b_g + g      generalisation error on a training set of m samples, b_g < 0
    s(m)   = c m^b_p          parameters of the model that fits it best, 1/2 <= b_p < 1

A learning curve has three regions: chance at small m, the power law, and the irreducible error. The
published slopes are of the middle one alone, in each task's unit of data and of error.
`analysis.estimators.learning_regions` finds it. Their claim: the task sets b_g, and the model only
a.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scaling.laws._law import Convention, Law, Published, Term, additive, amplitude, exponent

_SOURCE = "Hestness et al. 2017, arXiv 1712.00409"
_SECOND_HAND = f"{_SOURCE}, as quoted by later papers"


def _size(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    return p["c"] * xp.exp(p["b_p"] * xp.log(x["samples"]))


def _slope(name: str, parameter: str, value: float, samples: str, loss: str) -> Published:
    return Published(
        name=name,
        values={parameter: value},
        convention=Convention(
            params="best size found for each training set", tokens=samples, loss=loss
        ),
        recipe="best validation error over sizes and settings per shard; log-log line",
        source=_SECOND_HAND,
    )


_WORDS, _CHARS = "words, language model", "characters, language model"
_IMAGES = "ImageNet images"

_LEARNING = (  # slopes alone: they predict no loss
    _slope("word_lm", "b_g", -0.066, _WORDS, "cross-entropy; a = 11.9"),
    _slope("char_lm_sgd", "b_g", -0.0936, _CHARS, "cross-entropy"),
    _slope("char_lm_adam", "b_g", -0.0954, _CHARS, "cross-entropy"),
    _slope("translation", "b_g", -0.128, "translation", "error, best size at each m"),
    _slope("image_top1", "b_g", -0.309, _IMAGES, "top-1 error"),
    _slope("image_top5", "b_g", -0.488, _IMAGES, "top-5 error"),
    _slope("image_cross_entropy", "b_g", -0.35, _IMAGES, "cross-entropy"),
    _slope("speech", "b_g", -0.299, "audio", "error"),
)

_SIZES = (  # the two of characters are quoted without names, in the order of the slopes
    _slope("word_lm_lstm", "b_p", 0.69, _WORDS, "none: the law is of sizes"),
    _slope("word_lm_deep_lstm", "b_p", 0.78, _WORDS, "none: the law is of sizes"),
    _slope("char_lm_sgd", "b_p", 0.78, _CHARS, "none: the law is of sizes"),
    _slope("char_lm_adam", "b_p", 0.92, _CHARS, "none: the law is of sizes"),
    _slope("image", "b_p", 0.573, _IMAGES, "none: the law is of sizes"),
)

hestness = replace(
    additive(
        "hestness",
        form="eps(m) = g + a m^-beta_g,  beta_g = -b_g",
        units="m samples in the task's own unit; eps, a and g in its error or loss",
        source=_SOURCE,
        constant="g",
        terms=(Term("samples", "a", "beta_g"),),
    ),
    quoted=_LEARNING,
)

hestness_size = Law(
    name="hestness_size",
    form="s(m) = c m^b_p",
    variables=("samples",),
    space=(amplitude("c"), exponent("b_p", 0.5, 1.0)),
    formula=_size,
    units="m samples in the task's own unit, s parameters",
    source=_SOURCE,
    quoted=_SIZES,
)
