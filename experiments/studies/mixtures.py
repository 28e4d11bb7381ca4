"""Which mixture of texts is best? Small proxies, a law of the mixture, and its best one trained.

    windtunnel run mixtures               # CPU, 2 free cores: 5 minutes
    windtunnel mix runs/mixtures          # the best mixtures, and the lines that train them
    windtunnel run mixtures --set best=...
    windtunnel predict runs/mixtures
    windtunnel run runs/mixtures --part held_out
    windtunnel mix runs/mixtures          # now with the regret of each
    windtunnel report runs/mixtures

Each proxy draws from five embedded texts by weights from a Dirichlet distribution. They are of one
size and one number of tokens, have their own seeds, and are validated on the same windows of each
text. Held out are the equal mixture, the one in proportion to the texts' sizes, and the mixtures of
`best`, five weights each, all with `repeats` seeds. The regret is theirs. docs/mixing.md has what
"cpu" found. "gpu" has not been run yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from experiments.config.data import DataConfig
from experiments.config.run import BatchConfig, BudgetConfig, EvaluationConfig
from experiments.plan.grids import configs, grid, product, zipped
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from experiments.studies._base import Size, base
from models.shapes import plain
from scaling.common.errors import UserError
from scaling.machines.program import Program

TEXTS = ("code", "docstrings", "stubs", "stdlib_tests", "manuals")
MEGABYTES = (35, 15, 22, 17, 120)  # of each, where this was written
DRAWN = 10_000  # weights are drawn in whole parts of it
SEEDS = 1000  # of the compared mixtures; those of the proxies are below


@dataclass(frozen=True, kw_only=True)
class Scale(Size):
    """One size of the study: the same design, other numbers. All runs have the base width."""

    tokens: int
    proxies: int


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        layers=2,
        head_dim=8,
        base_width=32,
        batch=BatchConfig(sequences=8, seq_len=128),
        tokens=1_048_576,
        learning_rate=0.0088,
        proxies=48,
    ),
    "gpu": Scale(
        layers=6,
        head_dim=64,
        base_width=256,
        batch=BatchConfig(sequences=32, seq_len=512),
        tokens=2**25,
        learning_rate=4e-3,
        proxies=96,
        precision="bfloat16",
        program=Program(layers="scan"),
    ),
}


def dirichlet(count: int, texts: int, seed: int) -> list[tuple[float, ...]]:
    """Weights of each proxy, uniform on the simplex, in parts of 1/DRAWN and none of them 0."""
    drawn = np.random.default_rng(seed).dirichlet(np.ones(texts), count)
    return [parts(weights) for weights in drawn]


def parts(weights: Sequence[float]) -> tuple[float, ...]:
    """The nearest positive weights in whole parts of 1/DRAWN, whose sum is 1."""
    whole = np.maximum(1, np.round(np.asarray(weights) / np.sum(weights) * DRAWN)).astype(int)
    whole[whole.argmax()] += DRAWN - whole.sum()
    return tuple(float(part) / DRAWN for part in whole)


def study(
    scale: Literal["cpu", "gpu"] = "cpu",
    best: tuple[float, ...] = (),
    proxies: int | None = None,
    repeats: int = 3,
    seed: int = 0,
) -> Study:
    """The proxies, those of the scale or fewer; held out are the mixtures to compare."""
    s = SCALES[scale]
    K = len(TEXTS)
    if len(best) % K:
        raise UserError(f"best: {len(best)} weights; give {K} for each mixture, of {TEXTS}")
    run = base(
        s,
        model=plain(s.base_width, s.layers, s.head_dim),
        budget=BudgetConfig(s.tokens),
        data=DataConfig(corpora=tuple(f"{text}={text}" for text in TEXTS), weights=parts((1,) * K)),
        evaluation=EvaluationConfig(windows=K * 256),
        seed=SEEDS * (seed + 1),
    )
    compared = {
        "equal": parts((1,) * K),
        "proportional": parts(MEGABYTES),
        **{f"best {i // K + 1}": parts(best[i : i + K]) for i in range(0, len(best), K)},
    }
    count = s.proxies if proxies is None else proxies
    drawn = zipped(
        grid({"data.weights": dirichlet(count, K, seed)}),
        grid({"seed": range(SEEDS * seed, SEEDS * seed + count)}),
    )
    runs = [Run(config, 0, label="proxy") for config in configs(run, drawn)]
    for label, weights in compared.items():
        seeds = range(SEEDS * (seed + 1) + 1, SEEDS * (seed + 1) + 1 + repeats)
        rows = product(grid({"data.weights": [weights]}), grid({"seed": seeds}))
        runs += [Run(config, 1, StudyPart.HELD_OUT, label=label) for config in configs(run, rows)]
    return Study(
        name="mixtures",
        question="Which mixture of texts is best?",
        runs=tuple(runs),
        law=None,
        reading="mixtures",
    )
