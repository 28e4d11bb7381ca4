"""IsoFLOP profiles: how should compute be split between parameters and tokens?

    windtunnel run isoflop                       # CPU, 2 cores: 3.5 minutes
    windtunnel predict runs/isoflop
    windtunnel run isoflop --part held_out       # the profile above the others: 3 more
    windtunnel report runs/isoflop

    windtunnel run isoflop --set scale=gpu --dry-run \\
        --set data.source=files --set data.path='corpus/*.jsonl'

For each budget C, every size N with D/N = C / (6 N^2) between the scale's ratios trains on
D = C / (6 N) tokens. The profiles give Approach 2 of Hoffmann et al. 2022 (a parabola per budget),
all runs together Approach 3 (the law in N and D). The profile of the largest budget is held out. On
a CPU, the law of 13 runs predicted this profile's three, at 2.5 times their compute. It was 0.5,
0.6 and 2.7 % too low, all inside the intervals: 1.388 [1.326, 1.455] against 1.394 nats/byte for
the first. Depth is constant, so that the sizes differ in one way only; muP carries one learning
rate over the widths. "gpu" is sized for a few hours of one data-centre GPU, "pod" for a slice of a
TPU pod. Both need a corpus larger than the embedded one, and neither has been run yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.config.run import BatchConfig, EvaluationConfig
from experiments.plan.designs import isoflop, own_seeds, runs
from experiments.plan.grids import first_seed, grid
from experiments.plan.study import Study
from experiments.studies._base import Size, base
from models.shapes import plain
from scaling.machines.program import Program


@dataclass(frozen=True, kw_only=True)
class Scale(Size):
    """One size of the study: the same design, other numbers. The last budget is held out."""

    widths: tuple[int, ...]
    flops: tuple[float, ...]
    ratios: tuple[float, float]


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        layers=2,
        head_dim=8,
        widths=(16, 24, 32, 40, 48, 64, 80),
        flops=(1e11, 2.5e11, 6.25e11, 1.6e12, 4e12),
        ratios=(15, 250),
        batch=BatchConfig(sequences=4, seq_len=128),
        learning_rate=0.0088,
        base_width=32,
    ),
    "gpu": Scale(
        layers=12,
        head_dim=64,
        widths=(192, 256, 384, 512, 640, 768, 1024),
        flops=(1e16, 3e16, 1e17, 3e17),
        ratios=(4, 200),
        batch=BatchConfig(sequences=64, seq_len=1024),
        learning_rate=4e-3,
        base_width=256,
        precision="bfloat16",
        program=Program(layers="scan"),
    ),
    "pod": Scale(
        layers=24,
        head_dim=128,
        widths=(512, 768, 1024, 1280, 1536, 2048, 2560, 3072),
        flops=(6e18, 1e19, 3e19, 1e20, 3e20),
        ratios=(4, 100),
        batch=BatchConfig(sequences=256, seq_len=2048),
        learning_rate=4e-3,
        base_width=256,
        precision="bfloat16",
        program=Program(layers="scan", remat="block"),
    ),
}


def study(scale: Literal["cpu", "gpu", "pod"] = "cpu", seed: int = 0) -> Study:
    """Every budget's profile; the last budget's runs are held out."""
    s = SCALES[scale]
    run = base(s, evaluation=EvaluationConfig(windows=1024))
    sizes = grid({"model": [plain(width, s.layers, s.head_dim) for width in s.widths]})
    least, most = s.ratios
    profiles = isoflop(run, sizes, s.flops, min_ratio=least, max_ratio=most)
    return Study(
        name="isoflop",
        question="How should compute be split between parameters and tokens?",
        runs=runs(run, own_seeds(profiles, first_seed(seed)), held_out=1),
        reading="isoflop",
    )
