"""A jit for tests: the same program, compiled for a quick compilation and not a quick run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def quick_jit(function: Callable[..., Any], **options: Any) -> Any:
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0}, **options)
