"""Costs of fewer bits: after training, and by a switch to ternary weights on the way.

    windtunnel run quantization          # CPU, 2 free cores: 6 minutes
    windtunnel report runs/quantization

Models of each width and ratio of tokens to parameters are rounded after training. Kumar et al. 2024
(arXiv:2411.04330) let the cost grow as D^gD / N^gN exp(-bits / g). At the greatest ratio each goes
on for `more` of its tokens: dense, or with ternary matrices, the optimizer's state kept or fresh,
the rounding at once or mixed in (Nielsen et al. 2025, arXiv:2502.11895). One is ternary throughout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.config.overrides import assign
from experiments.config.run import EvaluationConfig
from experiments.plan import derived
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from experiments.studies import _base
from models.shapes import plain
from scaling.counting.formulas import params_total

STATES = {"kept": "mapped", "fresh": "fresh"}
SEEDS = 1000
TERNARY: dict[str, Any] = {"optimizer.rounded": "ternary"}


@dataclass(frozen=True, kw_only=True)
class Scale(_base.Size):
    """One size of the study: the same design, other numbers."""

    widths: tuple[int, ...]
    ratios: tuple[float, ...]  # tokens per parameter
    windows: int = 512


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        **_base.CPU,
        widths=(16, 24, 32),
        ratios=(5, 10, 20),
    ),
    "gpu": Scale(
        **_base.GPU,
        widths=(128, 192, 256, 384),
        ratios=(10, 20, 40, 80),
    ),
}


def study(
    scale: Literal["cpu", "gpu"] = "cpu",
    bits: tuple[int, ...] = (3, 4, 5),
    more: float = 0.5,
    phase: float = 0.25,
    widths: tuple[int, ...] = (),
    ratios: tuple[float, ...] = (),
    repeats: int = 4,
    seed: int = 0,
) -> Study:
    """Models rounded to `bits`, and switched; `phase` of the steps mix the rounding in.

    Widths and ratios that are not given are those of the scale.
    """
    s = SCALES[scale]
    base = assign(
        _base.base(s, evaluation=EvaluationConfig(windows=s.windows)),
        {"execution.steps_per_dispatch": 8},  # a row of training for each, to see the switch
    )
    ratios = ratios or s.ratios
    runs: list[Run] = []
    for rung, width in enumerate(widths or s.widths):
        model = plain(width, s.layers, s.head_dim)
        params = params_total(model.dims(s.batch.seq_len))
        for number in range(SEEDS * seed, SEEDS * seed + repeats):
            own = assign(base, {"model": model, "seed": number})
            for ratio in ratios:
                tokens = round(ratio * params)
                parent = Run(assign(own, {"budget.tokens": tokens}), rung, label="trained")
                runs.append(parent)
                runs += [
                    derived(parent, "quantize", label="rounded", bits=each, tokens=0)
                    for each in bits
                ]
                if ratio == max(ratios):
                    runs += _switched(parent, round(more * tokens), phase)
    return Study(
        name="quantization",
        question="What do fewer bits cost, after training and by a switch on the way?",
        runs=tuple(runs),
        law=None,
        reading="quantization",
    )


def _switched(parent: Run, more: int, phase: float) -> Iterator[Run]:
    """The dense controls, the switched models, and one that is ternary from its start."""
    lr = parent.config.science.optimizer.learning_rate / 3
    phased: dict[str, Any] = {**TERNARY, "optimizer.rounding_fraction": phase}
    for word, state in STATES.items():
        given: dict[str, Any] = {"state": state, "tokens": more, "lr": lr}
        yield derived(parent, "continue", label=f"dense, {word}", **given)
        yield derived(parent, "continue", label=f"ternary, {word}", **given, **TERNARY)
        yield derived(parent, "continue", label=f"ternary, {word}, phased", **given, **phased)
    whole = parent.config.science.budget.tokens + more
    config = assign(parent.config, {"budget.tokens": whole, **TERNARY})
    yield Run(config, parent.rung, StudyPart.FIT, label="ternary throughout")
