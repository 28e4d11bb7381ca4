"""Magnitude pruning of the matrices in the layers: the least values, heads or neurons become 0.

    weight   the greatest round(density * size) values of each matrix, or of all together
    head     the heads of each layer whose outputs have the greatest norm
    neuron   the features of each feed-forward whose outputs have the greatest norm

Of two parents the first chooses and the second gives the values, as a rewind to an early step does
(Frankle and Carbin 2019, arXiv:1803.03635).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.operations import Arrays, Blueprint, Operation, one_model
from scaling.common.alphabet import parse
from scaling.parametrization.weight import Weight

MATRICES = ("hidden", "query")  # roles
UNITS = {"head": "h", "neuron": "f"}
Mask = NDArray[np.bool_]


def prune(
    parents: Sequence[Arrays],
    plan: Blueprint,
    *,
    density: float,
    unit: Literal["weight", "head", "neuron"] = "weight",
    among: Literal["array", "all"] = "array",
) -> Arrays:
    chosen, values = parents[0], parents[-1]
    matrices = {name: w for name, w in plan.child.weights.items() if is_matrix(w)}
    if unit != "weight":
        masks = _structured(chosen, matrices, UNITS[unit], density)
    elif among == "all":
        flat = np.concatenate([np.abs(chosen[name]).ravel() for name in matrices])
        kept = np.split(_greatest(flat, density), np.cumsum([w.size for w in matrices.values()]))
        masks = {
            name: part.reshape(w.shape)
            for (name, w), part in zip(matrices.items(), kept[:-1], strict=True)
        }
    else:
        masks = {name: _greatest(np.abs(chosen[name]), density) for name in matrices}
    return {
        name: np.where(masks[name], array, np.float32(0)) if name in masks else array
        for name, array in values.items()
    }


def is_matrix(weight: Weight) -> bool:
    """True for a matrix of a layer, which pruning and quantization are about."""
    return weight.in_block and weight.role in MATRICES


def _greatest(scores: NDArray[np.floating[Any]], density: float) -> Mask:
    """The share of the scores that is greatest, ties by their place."""
    kept = np.zeros(scores.size, bool)
    order = np.argsort(-scores, axis=None, kind="stable")
    kept[order[: round(density * scores.size)]] = True
    return kept.reshape(scores.shape)


def _structured(
    arrays: Arrays, matrices: dict[str, Weight], letter: str, density: float
) -> dict[str, Mask]:
    """Masks along the axis of a letter, chosen by the matrix that brings it back to the stream."""
    kept: dict[str, Mask] = {}
    for name, weight in matrices.items():
        copies, inputs, outputs = parse(weight.letters)
        if outputs == "d" and letter in inputs and not copies:
            axis = inputs.index(letter)
            others = tuple(i for i in range(len(weight.shape)) if i != axis)
            scores = np.sqrt(np.square(arrays[name].astype(np.float64)).sum(others))
            kept[name.rpartition(".")[0]] = _greatest(scores, density)
    masks = {}
    for name, weight in matrices.items():
        letters, owner = parse(weight.letters).axes, name.rpartition(".")[0]
        if letter in letters and owner in kept:
            shape = [-1 if each == letter else 1 for each in letters]
            masks[name] = np.broadcast_to(kept[owner].reshape(shape), weight.shape)
    return masks


def _refuses(plan: Blueprint, density: float, unit: str, among: str, **_: Any) -> str:
    if not 0 < density <= 1:
        return f"density={density}: must be positive and at most 1"
    if len(plan.parents) > 2:
        return f"{len(plan.parents)} parents; give one, or one that chooses and one of the values"
    if unit != "weight" and among == "all":
        return f"among=all: a {unit} is chosen in its layer; set among=array"
    axes = "".join(w.letters for w in plan.child.weights.values() if is_matrix(w))
    if unit != "weight" and UNITS[unit] not in axes:
        return f"unit={unit}: no matrix of the model has the letter '{UNITS[unit]}'"
    return one_model(plan)


OPERATION = Operation(prune, keeps=("count",), refuses=_refuses)
