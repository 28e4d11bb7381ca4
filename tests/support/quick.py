"""Flags with which XLA compiles for tests: for a quick compilation and not a quick run."""

from __future__ import annotations

from importlib.metadata import version

LEVEL = "--xla_backend_optimization_level=0"
PASSES = "--xla_llvm_disable_expensive_passes=true --xla_cpu_parallel_codegen_split_count=1"
FUSIONS = "--xla_cpu_use_fusion_emitters=false"  # half of what is left; later versions lack it
FLAGS = " ".join([LEVEL, PASSES, *[FUSIONS] * version("jaxlib").startswith("0.10.")])
