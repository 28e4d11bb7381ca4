"""Flags with which XLA compiles for tests: for a quick compilation and not a quick run."""

from __future__ import annotations

from importlib.metadata import version

LEVEL = "--xla_backend_optimization_level=0"
FUSIONS = "--xla_cpu_use_fusion_emitters=false"  # half of what is left; later versions lack it
FLAGS = f"{LEVEL} {FUSIONS}" if version("jaxlib").startswith("0.10.") else LEVEL
