"""Remedies for a run that does not fit into a chip's memory; none changes the result."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.config.run import RunConfig
from scaling.machines.layout import Layout


def remedies(config: RunConfig, axes: Mapping[str, int], microbatch: int) -> list[str]:
    """Settings that make the program smaller, the cheapest first.

    Args:
        axes, microbatch: as they were settled.
    """
    execution, heads = config.execution, config.science.model.heads
    ways = Layout("data", **axes).batch_ways  # type: ignore[arg-type]  # its axes are fields
    smaller = [n for n in range(ways, microbatch, ways) if microbatch % n == 0]
    table = (
        (execution.program.remat == "none", "execution.program.remat=block"),
        (execution.program.layers == "unrolled", "execution.program.layers=scan"),
        (bool(smaller), f"execution.microbatch={max(smaller, default=0)}"),
        ("fsdp" in axes and execution.layout.zero < 3, "execution.layout.zero=3"),
        (axes.keys() <= {"data"}, "--layout fsdp"),
        (axes.keys() == {"fsdp"} and heads % 2 == 0, "--layout fsdp_tensor with tensor=2"),
        (True, "a larger slice"),
    )
    return [text for applies, text in table if applies]
