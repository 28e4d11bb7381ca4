"""Does the best learning rate stay where it is when the model grows, and what breaks that?

    windtunnel run lr_transfer                            # SP and muP over width
    windtunnel run lr_transfer --set over=depth           # muP and CompleteP over depth
    windtunnel run lr_transfer --set ablation=all         # and every ablation, or
    windtunnel run lr_transfer --set ablation=cosine,mqa  # some, into the same folder
    windtunnel report runs/lr_transfer                    # the table and the valleys

Loss against learning rate at four widths, with seeds for the error bars. The model is that of "A
Large-Scale Exploration of mu-Transfer" (Lingle 2024, arXiv:2404.05728): no biases, no gains, ReLU,
1/d_head attention, untied embeddings, AdamW without decay, linear decay to 1e-4 of the peak.
`ABLATIONS` are its sixteen changes of the muP baseline, each with the paper's finding.

Measured, log2 of the best rate by width, 4 seeds, standard library of Python 3.11:

    kind  width 16      width 32      width 64      width 128     shift per doubling    transfers?
    sp    -5.16 ± 0.22  -6.18 ± 0.15  -7.00 ± 0.06  -7.81 ± 0.11  -0.86 [-0.90, -0.83]  no
    mup   -4.72 ± 0.35  -4.93 ± 0.24  -4.89 ± 0.15  -4.84 ± 0.14  -0.02 [-0.13, +0.09]  yes

and of the ablations run so far, the last column the paper's answer:

    zero_query      -4.51 ± 0.19  -5.14 ± 0.38  -4.97 ± 0.11  -4.87 ± 0.35  -0.08 ± 0.03  yes, yes
    sp_unembedding  -4.69 ± 0.33  -4.92 ± 0.25  -4.60 ± 0.17  -4.49 ± 0.04  +0.12 ± 0.08  yes, yes
    squared_relu    -4.92 ± 0.34  -5.25 ± 0.39  -5.24 ± 0.17  -5.27 ± 0.09  -0.10 ± 0.07  yes, yes
    cosine          -4.91 ± 0.38  -5.05 ± 0.25  -5.05 ± 0.08  -4.92 ± 0.21  +0.01 ± 0.04  yes, yes
    sp_attention    -5.18 ± 0.19  -5.36 ± 0.23  -5.31 ± 0.14  -5.16 ± 0.15  +0.01 ± 0.08  yes, no
    scalar_gains    -5.03 ± 0.32  -5.39 ± 0.34  -5.37 ± 0.07  -5.39 ± 0.35  -0.09 ± 0.10  yes, no
    vector_gains    -5.23 ± 0.13  -5.35 ± 0.31  -5.33 ± 0.15  -5.28 ± 0.19  -0.01 ± 0.04  yes, no

The last three disagree with the paper. Its heads have 128 numbers where these have 8, so that
1/sqrt(d) and 1/d are further apart there; why gains do no harm at this size was not looked into.
Two replicas leave one degree of freedom: use more.

Over depth (over=depth, 13 minutes), by layers 2, 4, 8 and 16:

    mup        -4.93 ± 0.24  -5.00 ± 0.25  -4.78 ± 0.13  -4.36 ± 1.21  +0.17 ± 0.34  undetermined
    completep  -4.93 ± 0.24  -5.21 ± 0.15  -5.18 ± 0.19  -4.55 ± 0.27  +0.20 ± 0.12  no

CompleteP's best rate goes up at 16 layers, in runs of 256 steps at width 32.

256 runs of 256 steps, 3.6e13 FLOPs, an estimated 12 to 15 minutes of CPU time; on two cores shared
with much else they took half an hour. At each width SP at its own best rate is the better one: 2.28
nats/byte at width 128, muP 2.38. muP promises that a rate carries over, not the best model.

Not run yet: the other nine ablations (as long again for each two), and scale=gpu (widths 128-2048,
1.2e18 FLOPs: 50 minutes at 400 TFLOP/s; 10.5M of the embedded corpus's 11.7M tokens).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from experiments.config.optimizer import OptimizerConfig
from experiments.config.overrides import assign
from experiments.config.run import (
    BatchConfig,
    BudgetConfig,
    EvaluationConfig,
    Execution,
    RunConfig,
    Science,
)
from experiments.config.schedule import ScheduleConfig
from experiments.plan.grids import Assignment, configs, grid, product, seeds
from experiments.plan.run import Run
from experiments.plan.study import Study
from models.config import TransformerConfig
from models.shapes import plain
from scaling.common.errors import UserError, nearest
from scaling.machines.program import Program
from scaling.parametrization.parametrization import Parametrization


@dataclass(frozen=True)
class Scale:
    """One size of the study: the same design, other numbers."""

    layers: int  # of the base, and of all widths
    head_dim: int
    widths: tuple[int, ...]  # the first is the base's, the second that of all depths
    log2_rates: range
    batch: BatchConfig
    steps: int
    evaluation: EvaluationConfig
    precision: Literal["float32", "bfloat16"]
    program: Program = field(default_factory=Program)


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        layers=2,
        head_dim=8,
        widths=(16, 32, 64, 128),
        log2_rates=range(-9, -1),
        batch=BatchConfig(sequences=4, seq_len=128),
        steps=256,
        evaluation=EvaluationConfig(windows=256),
        precision="float32",
    ),
    "gpu": Scale(
        layers=4,
        head_dim=64,
        widths=(128, 256, 512, 1024, 2048),
        log2_rates=range(-12, -4),
        batch=BatchConfig(sequences=32, seq_len=512),
        steps=640,
        evaluation=EvaluationConfig(windows=512),
        precision="bfloat16",
        program=Program(layers="scan"),
    ),
}


Change = Callable[[Science], Assignment]  # fields set in a run of the baseline


@dataclass(frozen=True)
class Ablation:
    """A change, and the paper's answer: does the best rate transfer with it?

    The answers are a second source's reading of the paper's tables.
    """

    published: Literal["yes", "no"]
    change: Change


ABLATIONS: Mapping[str, Ablation] = {
    "biases": Ablation("yes", lambda s: {"model.biases": "all"}),
    "vector_gains": Ablation("no", lambda s: {"model.gains": "vector"}),
    "scalar_gains": Ablation("no", lambda s: {"model.gains": "scalar"}),
    "embedding_norm": Ablation("yes", lambda s: {"model.embedding_norm": "rmsnorm"}),
    "zero_query": Ablation("yes", lambda s: {"parametrization.zero_init": "query"}),
    "cosine": Ablation("yes", lambda s: {"schedule.name": "cosine"}),
    # coupled; our muP multiplies the decay of matrices by m, the paper's code does not
    "weight_decay": Ablation("no", lambda s: {"optimizer.weight_decay": 0.1}),
    "swiglu": Ablation(
        "yes", lambda s: {"model.mlp": "swiglu", "model.ffn": 8 * s.model.width // 3}
    ),
    "squared_relu": Ablation("yes", lambda s: {"model.mlp": "relu2"}),
    "sp_attention": Ablation("no", lambda s: {"parametrization.attention_scale": "1/sqrt(d)"}),
    "sp_unembedding": Ablation("yes", lambda s: {"parametrization.init_powers.readout": 0.5}),
    "sp_full": Ablation(
        "no",
        lambda s: {"parametrization.name": "sp", "model.biases": "all", "model.gains": "vector"},
    ),
    "lion": Ablation(
        "no",
        lambda s: {
            "optimizer.name": "lion",
            "optimizer.beta1": 0.95,
            "optimizer.beta2": 0.98,
            # the sign of a mean is larger than Adam's step, so its best rates are lower
            "optimizer.learning_rate": s.optimizer.learning_rate / 8,
        },
    ),
    "mqa": Ablation("yes", lambda s: {"model.kv_heads": 1, "model.ffn": 5 * s.model.width}),
    "large_batch": Ablation(
        "yes",
        lambda s: {
            "batch.sequences": 4 * s.batch.sequences,
            "optimizer.learning_rate": 2 * s.optimizer.learning_rate,
            "optimizer.beta2": 0.98,
            "optimizer.epsilon": 1e-9,
        },
    ),
    "small_batch": Ablation(
        "yes",
        lambda s: {
            "batch.sequences": s.batch.sequences // 4,
            "optimizer.learning_rate": s.optimizer.learning_rate / 2,
        },
    ),
}


BASELINES: Mapping[str, Mapping[str, Change]] = {
    "width": {"sp": lambda s: {"parametrization.name": "sp"}, "mup": lambda s: {}},
    "depth": {"mup": lambda s: {}, "completep": lambda s: {"parametrization.name": "completep"}},
}


def study(
    scale: Literal["cpu", "gpu"] = "cpu",
    over: Literal["width", "depth"] = "width",
    ablation: str = "",
    replicas: int = 4,
) -> Study:
    """The baselines and the named ablations of muP; runs of one seed have one order of data."""
    s = SCALES[scale]
    chosen = _chosen(ablation)
    changes = {**BASELINES[over], **{name: ABLATIONS[name].change for name in chosen}}
    rates = grid({"optimizer.learning_rate": [2.0**k for k in s.log2_rates]})
    models = {
        "width": [model(s, width, s.layers) for width in s.widths],
        "depth": [model(s, s.widths[1], s.layers * 2**k) for k in range(4)],
    }
    sizes = [grid({"model": [each]}) for each in models[over]]
    points = [configs(baseline(s), product(size, rates, seeds(replicas))) for size in sizes]
    return Study(
        name={"width": "lr_transfer", "depth": "lr_transfer_depth"}[over],
        question="Does the best learning rate stay where it is when the model grows?",
        runs=tuple(
            Run(assign(config, change(config.science)), rung, label=label)
            for rung, found in enumerate(points)
            for label, change in changes.items()
            for config in found
        ),
        law=None,
        published={name: ABLATIONS[name].published for name in chosen},
    )


def baseline(s: Scale) -> RunConfig:
    """muP as in the paper, but for the size of its model, which each run sets."""
    return RunConfig(
        Science(
            # a base head of one dimension: the factor on q.k is 1 / d_head
            parametrization=Parametrization(
                "mup", base_width=s.widths[0], base_head_dim=1, base_layers=s.layers
            ),
            optimizer=OptimizerConfig(weight_decay=0.0),
            schedule=ScheduleConfig("linear", warmup_fraction=0.08, final_fraction=1e-4),
            batch=s.batch,
            budget=BudgetConfig(s.steps * s.batch.batch_tokens),
            evaluation=s.evaluation,
            precision=s.precision,
        ),
        Execution(program=s.program),
    )


def model(s: Scale, width: int, layers: int) -> TransformerConfig:
    """The transformer of the paper: ReLU, no gains, untied embeddings."""
    return plain(
        width, layers, s.head_dim, gains="none", mlp="relu", qk_norm="none", embeddings="untied"
    )


def _chosen(ablation: str) -> list[str]:
    """Names separated by commas, or "all"."""
    names = list(ABLATIONS) if ablation == "all" else ablation.split(",") if ablation else []
    for name in names:
        if name not in ABLATIONS:
            known = nearest(name, [*ABLATIONS, "all"])
            raise UserError(f"--set ablation={ablation}: {name}: {known}")
    return list(dict.fromkeys(names))
