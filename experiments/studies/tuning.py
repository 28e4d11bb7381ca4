"""Trained numbers that suffice for a new domain, against the size of the model.

    windtunnel run tuning                # CPU, 2 free cores: 6 minutes
    windtunnel report runs/tuning

A model of each width is trained on manuals, and goes on with code: all of it, deltas of low rank,
or so many values on a random support, in all layers, in mixers or in feed-forwards alone. Su et al.
2023 (arXiv:2306.02320) find that the count for the full gain falls with size, and the choice of
modules with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.config.data import DataConfig
from experiments.config.overrides import assign
from experiments.config.run import EvaluationConfig
from experiments.plan import derived
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from experiments.studies import _base
from models.shapes import plain
from scaling.counting.formulas import params_total

BEFORE, AFTER = (
    DataConfig(corpora=(f"{text}={text}",), weights=(1.0,)) for text in ("manuals", "code")
)
SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Scale(_base.Size):
    """One size of the study: the same design, other numbers."""

    widths: tuple[int, ...]
    values: tuple[int, ...]  # trained on a support
    ratio: float  # tokens per parameter of the model before
    windows: int = 512


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        **_base.CPU,
        widths=(16, 24, 32),
        values=(256, 1024, 4096),
        ratio=10,
    ),
    "gpu": Scale(
        **_base.GPU,
        widths=(128, 192, 256, 384),
        values=(2**10, 2**13, 2**16, 2**19),
        ratio=20,
    ),
}


def study(
    scale: Literal["cpu", "gpu"] = "cpu",
    more: float = 0.5,
    ranks: tuple[int, ...] = (1, 4),
    widths: tuple[int, ...] = (),
    values: tuple[int, ...] = (),
    repeats: int = 4,
    seed: int = 0,
) -> Study:
    """Models tuned on `more` tokens, of those before; widths and values of the scale or others."""
    s = SCALES[scale]
    base = _base.base(s, evaluation=EvaluationConfig(windows=s.windows), data=BEFORE)
    runs: list[Run] = []
    for rung, width in enumerate(widths or s.widths):
        model = plain(width, s.layers, s.head_dim)
        tokens = round(s.ratio * params_total(model.dims(s.batch.seq_len)))
        for number in range(SEEDS * seed, SEEDS * seed + repeats):
            config = assign(base, {"model": model, "seed": number, "budget.tokens": tokens})
            trained = Run(config, rung, StudyPart.TRUNK)
            runs += [trained, *_tuned(trained, round(more * tokens), ranks, values or s.values)]
    return Study(
        name="tuning",
        question="How many trained numbers suffice for a new domain?",
        runs=tuple(runs),
        law=None,
        reading="tuning",
    )


def _tuned(
    trained: Run, more: int, ranks: tuple[int, ...], values: tuple[int, ...]
) -> Iterator[Run]:
    def child(label: str, tokens: int, fields: Mapping[str, Any]) -> Run:
        return derived(
            trained,
            "continue",
            label=label,
            part=StudyPart.FIT,
            data=AFTER,
            tokens=tokens,
            **fields,
        )

    yield child("before", 0, {})
    yield child("all", more, {})
    for rank in ranks:
        yield child(f"rank {rank}", more, {"tuning.method": "low_rank", "tuning.rank": rank})
    for among in ("layers", "mixer", "feed_forward"):
        for count in values:
            support = {"tuning.method": "support", "tuning.values": count, "tuning.among": among}
            yield child(f"support, {among}", more, support)
