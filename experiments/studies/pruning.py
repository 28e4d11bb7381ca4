"""Is a pruned model worth more than a dense one of as many parameters that are not zero?

    windtunnel run pruning               # CPU, 2 free cores: six minutes
    windtunnel report runs/pruning

A dense model of each size is trained, pruned by magnitude to each density, and trained on with the
zeros kept. The dense control trains on for as many tokens, at the same rate: total compute is
equal, since a product with zeros costs as much. `one shot` is pruned and not trained on; `rewound`
trains the chosen weights from an early checkpoint (Frankle and Carbin 2019, arXiv:1803.03635), for
as many tokens in all; its control is dense from that checkpoint, on the same schedule. The report
compares models at equal non-zeros, as Frantar et al. 2023 (arXiv:2309.08520) do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.config.overrides import assign
from experiments.config.run import EvaluationConfig, RunConfig
from experiments.plan import derived
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from experiments.studies import _base
from models.shapes import plain
from scaling.counting.formulas import params_total

EARLY = 0.1  # of the dense run's steps: where a rewound model begins
REWOUND = 0.25  # its density
SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Scale(_base.Size):
    """One size of the study: the same design, other numbers."""

    widths: tuple[int, ...]
    ratio: float  # tokens per parameter of a dense model
    windows: int = 512


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        **_base.CPU,
        widths=(16, 24, 32, 48),
        ratio=20,
    ),
    "gpu": Scale(
        **_base.GPU,
        widths=(128, 192, 256, 384, 512),
        ratio=20,
    ),
}


def study(
    scale: Literal["cpu", "gpu"] = "cpu",
    densities: tuple[float, ...] = (0.5, 0.25, 0.125),
    more: float = 0.5,
    ratio: float | None = None,
    repeats: int = 2,
    seed: int = 0,
) -> Study:
    """Dense models and their pruned ones; `more` tokens after pruning, of those before."""
    s = SCALES[scale]
    base = _base.base(s, evaluation=EvaluationConfig(windows=s.windows))
    runs: list[Run] = []
    for rung, width in enumerate(s.widths):
        # without gains every parameter but the embedding's is one that pruning may take
        model = plain(width, s.layers, s.head_dim, gains="none")
        tokens = (s.ratio if ratio is None else ratio) * params_total(model.dims(s.batch.seq_len))
        for number in range(SEEDS * seed, SEEDS * seed + repeats):
            found = assign(base, {"model": model, "seed": number, "budget.tokens": round(tokens)})
            early = _early(found)
            kept = assign(found, {"execution.permanent": (early,)})
            dense = Run(kept, rung, StudyPart.TRUNK)
            runs += [dense, *_pruned(dense, early, round(more * tokens), densities, s)]
    return Study(
        name="pruning",
        question="How many dense parameters is a pruned model worth?",
        runs=tuple(runs),
        law=None,
        reading="pruning",
    )


def _early(config: RunConfig) -> int:
    """The end of the dispatch nearest to this share of the run, where a checkpoint may be kept."""
    chunk, steps = config.execution.steps_per_dispatch, config.science.steps
    return min(chunk * max(1, round(EARLY * steps / chunk)), steps)


def _pruned(
    dense: Run, early: int, more: int, densities: tuple[float, ...], s: Scale
) -> Iterator[Run]:
    """The control and the pruned models of one dense run, all with the same tokens behind them."""
    rate = s.learning_rate / 3
    kept: dict[str, Any] = {"optimizer.zeros": "kept"}
    yield derived(dense, "continue", label="dense", part=StudyPart.FIT, tokens=more, lr=rate)
    for density in densities:
        pruned = derived(
            dense, "prune", label="pruned", density=density, tokens=more, lr=rate, **kept
        )
        yield pruned
        yield derived(dense, "prune", label="one shot", density=density, tokens=0)
    science = dense.config.science
    again = science.tokens - early * science.batch.batch_tokens + more
    yield derived(dense, "continue", label="dense, rewound", at=(early,), tokens=again)
    yield derived(
        (dense, dense), "prune", label="rewound", at=(science.steps, early), density=REWOUND,
        tokens=again, **kept,
    )  # fmt: skip
