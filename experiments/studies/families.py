"""Which architecture needs less compute, and which fewer hours? Matched ladders, one per family.

    windtunnel run families --set stage=tune       # rates of each family at the base size
    windtunnel run families                        # the ladders at these rates
    windtunnel gain runs/families --a label==gated_delta_hybrid --b label==attention \\
        --spent flops_model --budget 1e12          # or --spent wall_seconds --budget 60
    windtunnel run families --part held_out        # the largest size of each family
    windtunnel report runs/families

Each family differs from the transformer in its parts alone, and has its own learning rate. The
rate is to be the best of the same four at the base size, one seed each: an equal bill. muP carries
it over the widths. Tokens are 20 to 80 for each parameter that a token meets.

The tuned rates, by validation loss in nats/token at 20 tokens per active parameter:

                        2^-8   2^-7   2^-6   2^-5
    attention          2.151  1.982  1.899  1.976
    gated_delta_hybrid 1.920  1.807  1.825  1.816
    sliding_hybrid     2.018  1.884  1.868  1.947
    qlstm              1.882  1.820  1.813  1.849
    moe_topk8          2.106  1.985  1.944  1.969
    moeut              2.148  1.941  1.870  1.949

Measured at scale=small, one seed, four families; nats/byte of the held-out size, and compute that
attention needs over that of the family, by `compare` at 1.6e12 FLOPs:

                        predicted             measured   compute
    attention           1.492 [1.458, 1.526]     1.475   1
    gated_delta_hybrid  1.421 [1.332, 1.515]     1.422   1.39 [0.92, 2.24]
    sliding_hybrid      1.440 [1.398, 1.484]     1.459   1.69 [0.88, 2.45]
    qlstm               1.437 [1.398, 1.477]     1.438   2.02 [1.24, 2.94]

Hours were not comparable, for other work ran beside. The ladders of moe_topk8 and moeut, and
scale=cpu, were not run. scale=cpu has 34k to 270k parameters, as the comparison asks, and draws up
to 5 % of its longest run twice; scale=small has 17k to 100k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.config.data import DataConfig
from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, BudgetConfig, EvaluationConfig, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from models.config import TransformerConfig
from models.shapes import plain
from scaling.common.errors import UserError, nearest
from scaling.counting.formulas import params_active
from scaling.parametrization.parametrization import Parametrization

HEAD_DIM, LAYERS = 8, 4
CONTEXT = 128
LOG2_RATES = range(-8, -4)


@dataclass(frozen=True)
class Family:
    """Choices of the model, and log2 of its rate at the base size, as `stage=tune` finds it."""

    log2_rate: int
    choices: Mapping[str, Any]
    ffn: int = 4  # width of its feed-forward, or of one expert, in widths of the stream


FAMILIES: Mapping[str, Family] = {
    "attention": Family(-6, {}),
    "gated_delta_hybrid": Family(-7, {"pattern": ("gated_delta",) * 3 + ("attention",)}),
    "sliding_hybrid": Family(-6, {"pattern": ("sliding_window:window=32",) * 3 + ("attention",)}),
    "qlstm": Family(-6, {"pattern": ("qlstm",)}),
    "moe_topk8": Family(-6, {"experts": 8, "experts_active": 2}, ffn=2),
    "moeut": Family(
        -6,
        {
            "sharing": "cycle",
            "layers_unique": 2,
            "norms": "peri",
            "router": "sigmoid",
            "experts": 16,
            "experts_active": 4,
        },
        ffn=1,
    ),
}


@dataclass(frozen=True)
class Scale:
    """One size of the study: the same design, other numbers.

    Attributes:
        ratios: tokens for each active parameter, by width.
        held_out: width, and tokens for each active parameter.
        epochs: times that a token of the corpus may be drawn.
    """

    base_width: int
    ratios: Mapping[int, tuple[int, ...]]
    held_out: tuple[int, int]
    epochs: int = 1


SCALES: Mapping[str, Scale] = {
    "small": Scale(24, {16: (20, 40, 80), 24: (20, 40, 80), 32: (20, 40)}, (40, 30)),
    "cpu": Scale(24, {24: (20, 40, 80), 32: (20, 40, 80), 48: (20, 40, 80)}, (72, 40), 2),
}


def study(
    scale: Literal["small", "cpu"] = "small",
    stage: Literal["ladder", "tune"] = "ladder",
    families: str = "",
    seed: int = 0,
) -> Study:
    """The ladders of the named families, or of all; or the runs that tune their rates."""
    s, chosen = SCALES[scale], _chosen(families)
    if stage == "tune":
        return Study(
            name="families_tuning",
            question="Which learning rate suits each family at the base size?",
            runs=tuple(
                _run(s, name, s.base_width, s.ratios[s.base_width][0], log2_rate, seed)
                for name in chosen
                for log2_rate in LOG2_RATES
            ),
            law=None,
        )
    width, ratio = s.held_out
    return Study(
        name="families",
        question="Which architecture needs less compute, and which fewer hours?",
        runs=tuple(
            run
            for name in chosen
            for rate in [FAMILIES[name].log2_rate]
            for run in (
                *(
                    _run(s, name, each, tokens, rate, seed, rung)
                    for rung, (each, ratios) in enumerate(s.ratios.items())
                    for tokens in ratios
                ),
                _run(s, name, width, ratio, rate, seed, len(s.ratios), StudyPart.HELD_OUT),
            )
        ),
        params="params_active",
    )


def model(family: str, width: int) -> TransformerConfig:
    """The model of a family at one width."""
    found = FAMILIES[family]
    return plain(width, LAYERS, HEAD_DIM, **{"ffn": found.ffn * width, **found.choices})


def _run(
    s: Scale,
    family: str,
    width: int,
    ratio: int,
    log2_rate: int,
    seed: int,
    rung: int = 0,
    part: StudyPart = StudyPart.FIT,
) -> Run:
    shape = model(family, width)
    config = RunConfig(
        Science(
            model=shape,
            parametrization=Parametrization(
                "mup", s.base_width, HEAD_DIM, base_ffn=FAMILIES[family].ffn * s.base_width
            ),
            optimizer=OptimizerConfig(learning_rate=2.0**log2_rate, weight_decay=0.1, beta2=0.99),
            schedule=ScheduleConfig("linear", warmup_fraction=0.05, final_fraction=0.0),
            batch=BatchConfig(sequences=4, seq_len=CONTEXT),
            budget=BudgetConfig(ratio * params_active(shape.dims(CONTEXT))),
            data=DataConfig(epochs=s.epochs),
            evaluation=EvaluationConfig(windows=1024),
            seed=seed,
        )
    )
    return Run(config, rung, part, label=family)


def _chosen(families: str) -> list[str]:
    """Names separated by commas; none: all."""
    names = families.split(",") if families else list(FAMILIES)
    for name in names:
        if name not in FAMILIES:
            raise UserError(f"--set families={families}: {name}: {nearest(name, FAMILIES)}")
    return list(dict.fromkeys(names))
