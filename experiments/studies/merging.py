"""Averages of experts: how does their loss fall with the number of experts, and with their size?

    windtunnel run merging               # 5 minutes of CPU time
    windtunnel report runs/merging

A base of each size is trained on five embedded texts in equal parts. From its end one expert is
trained on each text, and the averages of random subsets of k experts are evaluated on all texts. At
the most experts each method merges them, and one run trains on all texts with the experts' tokens
together, at equal compute. The law is fitted below the largest k and N, which are held out (Wang et
al. 2025, arXiv:2509.24244). docs/deriving.md has what "cpu" found. "gpu" has not been run yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from experiments.config.data import DataConfig
from experiments.config.overrides import assign
from experiments.config.run import (
    BatchConfig,
    BudgetConfig,
    EvaluationConfig,
)
from experiments.plan import derived, subsets
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from experiments.studies import _base
from models.shapes import plain

TEXTS = ("code", "docstrings", "stubs", "stdlib_tests", "manuals")
METHODS: Mapping[str, Mapping[str, Any]] = {  # beside the average, from the base on
    "task_arithmetic": {"scale": 1 / len(TEXTS)},
    "ties": {"keep": 0.2},
    "dare": {"drop": 0.5, "scale": 1 / len(TEXTS)},
}
SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Scale(_base.Size):
    """One size of the study: the same design, other numbers; experts take a third of the rate."""

    widths: tuple[int, ...]
    base_tokens: int
    expert_tokens: int
    subsets: int = 5  # of each number of experts, at most
    windows: int = 256  # of validation, for each text


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        **_base.CPU,
        widths=(16, 24, 32, 48),
        base_tokens=524_288,
        expert_tokens=131_072,
    ),
    "gpu": Scale(
        **{**_base.GPU, "batch": BatchConfig(sequences=32, seq_len=512)},
        widths=(128, 192, 256, 384, 512),
        base_tokens=2**26,
        expert_tokens=2**24,
    ),
}


def _even(texts: Sequence[str]) -> tuple[float, ...]:
    """Equal weights of these texts, 0 of the others, which are validated on."""
    return tuple(float(text in texts) / len(texts) for text in TEXTS)


def _family(base: Run, s: Scale, tokens: int, seed: int) -> list[Run]:
    """The experts of a base, their merges, and the run on all texts."""

    def trained(texts: Sequence[str], label: str, tokens: int, seed: int) -> Run:
        data = replace(base.config.science.data, weights=_even(texts))
        rate = s.learning_rate / 3
        return derived(base, "continue", label=label, data=data, tokens=tokens, lr=rate, seed=seed)

    count = len(TEXTS)
    experts = [
        trained([text], "expert", tokens, seed + count * SEEDS * (k + 1))
        for k, text in enumerate(TEXTS)
    ]
    merged = [
        derived(subset, "average", label="average", tokens=0)
        for k in range(2, count + 1)
        for subset in subsets(experts, k, most=s.subsets, seed=seed)
    ]
    others = [
        derived((base, *experts), method, label=method, tokens=0, **settings)
        for method, settings in METHODS.items()
    ]
    return [*experts, *merged, *others, trained(TEXTS, "multitask", count * tokens, seed)]


def study(
    scale: Literal["cpu", "gpu"] = "cpu",
    widths: tuple[int, ...] = (),
    base_tokens: int | None = None,
    expert_tokens: int | None = None,
    windows: int | None = None,
    seed: int = 0,
) -> Study:
    """The bases, their experts and merges; widths, tokens and windows of the scale or others."""
    s = SCALES[scale]
    shared = assign(
        _base.base(
            s,
            budget=BudgetConfig(s.base_tokens if base_tokens is None else base_tokens),
            data=DataConfig(
                corpora=tuple(f"{text}={text}" for text in TEXTS), weights=_even(TEXTS)
            ),
            evaluation=EvaluationConfig(windows=len(TEXTS) * (windows or s.windows)),
        ),
        {"execution.unneeded": "freed"},
    )
    runs: list[Run] = []
    for rung, width in enumerate(widths or s.widths):
        model = plain(width, s.layers, s.head_dim)
        config = assign(shared, {"model": model, "seed": SEEDS * seed + rung})
        base = Run(config, rung, StudyPart.TRUNK)
        tokens = s.expert_tokens if expert_tokens is None else expert_tokens
        runs += [base, *_family(base, s, tokens, SEEDS * seed + rung)]
    return Study(
        name="merging",
        question="How does the loss of a merge fall with the number of experts and their size?",
        runs=tuple(runs),
        law=None,
        reading="merging",
    )
