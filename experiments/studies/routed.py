"""Unified laws of routed models: how much dense model is an expert worth, and does it last?

    windtunnel run routed --set scale=quick             # CPU: half an hour on two busy cores
    windtunnel predict runs/routed
    windtunnel run routed --set scale=quick --part held_out
    windtunnel report runs/routed
    windtunnel run routed                               # the whole grid, 61 runs: ten minutes
    windtunnel run routed --set routers=top_k,sigmoid   # other files of models/routers

Sizes N x experts E x routers on a fixed number of tokens, one expert of each token in every layer
(Clark et al. 2022, arXiv:2202.01169). N is `params_active` of the dense model of the same width.
The bilinear law

    lg L = a lg N + b lg E^ + c lg N lg E^ + d

is fitted for each router with the dense runs as E = 1; its effective parameter count N_bar is the
dense model of equal loss. The largest N at E = 16 is held out. c > 0 says that routing helps large
models less. Routers that leak in training (s_base) are evaluated by their causal form.

Measured with scale=quick (widths 8, 16 and 32, E = 4 and 16, 0.26M tokens, one seed), nats/byte:

    N        dense    hash, E = 4, 16    s_base            rl_r
    3,656    2.756    2.631  2.571       2.815  2.829      2.904  2.812
    10,352   2.587    2.486  2.430       2.641  2.647      2.658  2.744
    32,960   2.515    2.419  2.337       2.499  2.504      2.536  2.644

    router   c, with its 95 % interval     held out, E = 16: predicted    measured
    hash     -0.007 [-0.051, +0.064]       2.302 [2.153, 2.477]           2.337
    s_base   -0.016 [-0.050, +0.019]       2.475 [2.364, 2.597]           2.504
    rl_r     +0.003 [-0.072, +0.080]       2.592 [2.339, 2.749]           2.644

The sign of c is open: eight runs and four constants. So it is by the 58 runs of scale=cpu, whose
numbers are in docs/architectures.md. Hash by token id helps at every size, the
learned routers do not. Clark et al. find S-BASE best at 130e9 tokens. Here a learned choice has 256
steps, and its output starts at the weight 1 / E. N_bar brings the root mean square of lg L about
the dense line from 0.024 to 0.004 for hash, 0.009 to 0.003 for s_base and 0.016 to 0.009 for rl_r.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from experiments.config.run import BatchConfig, BudgetConfig, EvaluationConfig, RunConfig
from experiments.plan.grids import first_seed
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from experiments.studies._base import Size, base
from models.shapes import plain
from scaling.machines.program import Program

DENSE = "dense"


@dataclass(frozen=True, kw_only=True)
class Scale(Size):
    """One size of the study: the same design, other numbers. The last width at E = 16 is held out.

    `capacity_factor` is of slots over those that even choices need.
    """

    widths: tuple[int, ...]
    experts: tuple[int, ...]
    tokens: int
    capacity_factor: float
    windows: int


CPU = Scale(
    layers=2,
    head_dim=8,
    widths=(8, 16, 24, 32),
    experts=(2, 4, 8, 16, 32),
    tokens=2**19,
    capacity_factor=2.0,
    batch=BatchConfig(sequences=8, seq_len=128),
    learning_rate=0.0088,
    base_width=32,
    windows=256,
    program=Program(layers="scan"),
)
SCALES: Mapping[str, Scale] = {
    "cpu": CPU,
    "quick": replace(CPU, widths=(8, 16, 32), experts=(4, 16), tokens=2**18),
    "gpu": Scale(
        layers=12,
        head_dim=64,
        widths=(256, 384, 512, 768),
        experts=(2, 4, 8, 16, 32, 64, 128),
        tokens=2**31,
        capacity_factor=2.0,
        batch=BatchConfig(sequences=64, seq_len=1024),
        learning_rate=4e-3,
        base_width=256,
        windows=1024,
        precision="bfloat16",
        program=Program(layers="scan"),
    ),
}
HELD_OUT = 16  # experts


def study(
    scale: Literal["cpu", "quick", "gpu"] = "cpu",
    routers: str = "s_base,hash,rl_r",
    seed: int = 0,
) -> Study:
    """Every width dense, and with every number of experts under every router. Rung = width."""
    s = SCALES[scale]
    arms = [(DENSE, 1), *((name, experts) for name in routers.split(",") for experts in s.experts)]
    seeds = count(first_seed(seed))
    return Study(
        name="routed",
        question="How much dense model is an expert worth, and does it last?",
        runs=tuple(
            Run(
                _config(s, width, router, experts, next(seeds)),
                rung,
                StudyPart.HELD_OUT
                if (width, experts) == (s.widths[-1], HELD_OUT)
                else StudyPart.FIT,
                label=router,
            )
            for rung, width in enumerate(s.widths)
            for router, experts in arms
        ),
        law=None,
        reading="routed",
        params="params_active",
    )


def _config(s: Scale, width: int, router: str, experts: int, seed: int) -> RunConfig:
    routed = {
        "experts": experts,
        "experts_active": 1,
        "router": router,
        # no more slots than tokens
        "capacity_factor": min(s.capacity_factor, experts),
    }
    run = base(
        s,
        model=plain(width, s.layers, s.head_dim, **({} if router == DENSE else routed)),
        budget=BudgetConfig(s.tokens),
        evaluation=EvaluationConfig(windows=s.windows),
        seed=seed,
    )
    # every microbatch has gradients of all experts, so few large ones are fastest
    return replace(run, execution=replace(run.execution, microbatch=s.batch.sequences))
