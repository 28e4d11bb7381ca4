"""Which filter of a text is best? The better the pool, the sooner it is used up.

    windtunnel run filtering              # CPU, 2 free cores: 4 minutes
    windtunnel report runs/filtering

The standard library is cut into four pools of equal bytes by the score `by`, of
experiments/data/filters; q4 has the highest. Each pool gives 65,536 unique tokens, and runs see
half of them to all of them sixteen times, alone, or the two, three and four best ones together. All
are validated on another text, the readmes of packages. The score reads neither the target nor a
model. The law of Goyal et al. 2024 (arXiv 2404.07177) is fitted to each single pool.

Expected of single pools, 48 runs of 33k parameters, Python 3.11:

    pool   loss at 1, 4, 16 epochs   b                   tau, epochs
    q1     3.793  3.521  3.616       .044 [.036, .35]    2.5 [.57, 2,600]
    q2     3.595  3.424  3.338       .046 [.036, .087]   6.5 [3.0, 38]
    q3     3.567  3.335  3.246       .061 [.051, .110]   5.8 [2.7, none]
    q4     3.549  3.346  3.290       .057 [.048, .078]   4.3 [2.2, 18]

At one epoch q4 has the least loss, and from four on q3, at eight by 0.044 where two seeds differ by
0.014. The intervals of b overlap. E = 0 fits best throughout. The mean losses of q1, q3 and q4 rise
from 8 to 16 epochs, as the law never does.

The best of the filters is q3+q4 at 262k and 524k tokens (3.299, 3.135) and q2+q3+q4 at 1.05M
(3.029), where q4 alone loses 0.26 [-0.07, 0.59] by two seeds. "gpu" has not been run yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.config.data import DataConfig
from experiments.config.run import BatchConfig, EvaluationConfig
from experiments.plan.grids import configs, first_seed, grid
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.studies._base import CPU, GPU, Size, base
from models.shapes import plain

POOLS = ("q1", "q2", "q3", "q4")  # the names of the sources, by their score
TARGET, TOGETHER = "target", "+"  # the source of weight 0; between the pools of a label


@dataclass(frozen=True, kw_only=True)
class Scale(Size):
    """One size of the study: the same design, other numbers. All runs have the base width."""

    text: str
    target: str
    unique: int  # tokens of each pool
    epochs: tuple[float, ...]  # of single pools
    together: tuple[int, ...]  # tokens of runs of several pools, over those of one pool


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        **{**CPU, "batch": BatchConfig(sequences=8, seq_len=64)},
        text="stdlib",
        target="metadata",
        unique=2**16,
        epochs=(0.5, 1, 2, 4, 8, 16),
        together=(4, 8, 16),
    ),
    "gpu": Scale(
        **GPU,
        text="system_headers",
        target="manuals",
        unique=2**22,
        epochs=(0.25, 0.5, 1, 2, 4, 8, 16, 32),
        together=(4, 8, 16, 32),
    ),
}


def bands(text: str, by: str) -> tuple[str, ...]:
    """The pools of a text as entries of data.corpora."""
    P = len(POOLS)
    return tuple(
        f"{pool}=scored:by={by}&from={k / P:g}&to={(k + 1) / P:g}&of={text}"
        for k, pool in enumerate(POOLS)
    )


def drawn(kept: Sequence[str]) -> tuple[float, ...]:
    """Equal weights of the kept pools, in parts of 1/10,000, and none of the target."""
    each = round(1 / len(kept), 4)
    weights = dict.fromkeys((*POOLS, TARGET), 0.0) | dict.fromkeys(kept, each)
    weights[kept[-1]] = round(1 - each * (len(kept) - 1), 4)
    return tuple(weights.values())


def study(
    scale: Literal["cpu", "gpu"] = "cpu", by: str = "words", repeats: int = 2, seed: int = 0
) -> Study:
    """Every pool at every number of tokens, and at the larger ones the best pools together."""
    s, first = SCALES[scale], first_seed(seed)
    run = base(
        s,
        model=plain(s.base_width, s.layers, s.head_dim),
        data=DataConfig(
            corpora=(*bands(s.text, by), f"{TARGET}={s.target}"),
            weights=drawn(POOLS),
            unique_tokens=(s.unique,) * len(POOLS) + (0,),
        ),
        evaluation=EvaluationConfig(windows=512 * (len(POOLS) + 1)),
    )
    alone = [(pool,) for pool in POOLS]
    together = [POOLS[-count:] for count in range(2, len(POOLS) + 1)]
    runs = []
    for rung, epochs in enumerate(s.epochs):
        for kept in alone + (together if epochs in s.together else []):
            most = 2 + round(epochs / len(kept))
            changed = grid(
                {
                    "budget.tokens": [round(epochs * s.unique)],
                    "data.weights": [drawn(kept)],
                    "data.repeats": [(*(most if pool in kept else 1 for pool in POOLS), 1)],
                    "seed": range(first, first + repeats),
                }
            )
            label = TOGETHER.join(kept)
            runs += [Run(each, rung, label=label) for each in configs(run, changed)]
    return Study(
        name="filtering",
        question="Which filter of a text is best?",
        runs=tuple(runs),
        law=None,
        reading="filtering",
        loss=f"losses_by_source.{TARGET}",
    )
