"""The identity of a run: a hash of its canonical science, and the only maker of run ids.

    identity = SHA-256 of [SCIENCE_VERSION, {path: value where it differs from the default}]

A part of the model whose science was changed counts by its own version (`models.part.versions`). So
does the rule of matrices with few outputs, where a model has one (`narrow`).
Fields that nothing reads under the run's settings are left out (experiments/config/unread.py). A
new field leaves the ids of all earlier runs unchanged, since its default is left out. A changed
default would give one id to two sciences: tests/golden/defaults.json pins all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from operator import attrgetter
from typing import Any

from experiments.config.data import PLACES
from experiments.config.fields import leaves, to_json
from experiments.config.run import Science
from experiments.config.unread import is_read
from models.config import TransformerConfig
from models.part import versions
from scaling.common.alphabet import parse
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.weight import Weight

# Raised when the same config would give another result: a changed default, initialisation, order of
# the data or update. Of a change in one part, its `Part.version` is raised instead.
SCIENCE_VERSION = 4
ALWAYS = frozenset({"validation"})  # tasks that every run evaluates, named or not


def identity(science: Science, derivation: Any = None) -> str:
    """Twelve hex digits of the SHA-256 of the canonical science.

    Data counts by its fingerprint, and its place only until that is known: a moved corpus is the
    same science.

    Args:
        derivation: of initial parameters made from other runs', as plain JSON.
    """
    value = canonical(science)
    if science.data.fingerprint:
        for name in PLACES:
            value.pop(name, None)
    if derivation is not None:
        value["derivation"] = derivation
    text = json.dumps([SCIENCE_VERSION, value], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def canonical(science: Science) -> dict[str, Any]:
    """The fields that differ from their defaults and that the run reads, by path, with the
    versions of parts."""
    kind: Any = type(science)
    kinds, read, default = _leaves(kind)
    found = {}
    for (path, leaf), value, usual in zip(kinds.items(), read(science), default, strict=True):
        if (
            value != usual
            and (settled := _settled(path, value)) != usual
            and is_read(science, path)
        ):
            found[path] = to_json(settled, leaf)
    return found | versions(science.model) | narrow(science.model, science.parametrization)


@cache
def narrow(model: TransformerConfig, parametrization: Parametrization) -> dict[str, int]:
    """The version of the rule of matrices with few outputs, where it changes a weight's start."""
    dims = model.dims(1)
    matrices = (
        Weight(
            part.name, "hidden", letters, tuple(dims.lengths(part)[x] for x in parse(letters).axes)
        )
        for part in dims.parts
        for letters in part.weights
    )
    changed = any(parametrization.narrows(each, model) for each in matrices)
    return {"scaling.parametrization.narrow": 2} if changed else {}


def _settled(path: str, value: Any) -> Any:
    """A value in its one form: tasks in any order, or named twice, give the same results."""
    return tuple(sorted({*value} - ALWAYS)) if path == "evaluation.tasks" else value


@cache
def _leaves(kind: type) -> tuple[Mapping[str, Any], Any, tuple[Any, ...]]:
    """The paths of a science and their types, the getter of all values, and the defaults."""
    read = attrgetter(*leaves(kind))
    return leaves(kind), read, read(kind())
