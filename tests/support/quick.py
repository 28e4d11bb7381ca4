"""Default tests are quick: XLA's flags, for a quick compilation and not a quick run; and cases."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import pytest

LEVEL = "--xla_backend_optimization_level=0"
PASSES = "--xla_llvm_disable_expensive_passes=true --xla_cpu_parallel_codegen_split_count=1"
FUSIONS = "--xla_cpu_use_fusion_emitters=false"  # half of what is left; later versions lack it
FLAGS = " ".join([LEVEL, PASSES, *[FUSIONS] * version("jaxlib").startswith("0.10.")])


def cases(values: Iterable[Any], quick: Iterable[Any]) -> list[Any]:
    """Values of a parameter, those that are not `quick` marked as slow."""
    kept = set(quick)
    return [pytest.param(each, marks=[pytest.mark.slow] * (each not in kept)) for each in values]
