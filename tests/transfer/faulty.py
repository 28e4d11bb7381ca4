"""A parametrization with mistakes in it, each a traced number: all of them in one compiled program.

A fault e multiplies what it names by m^e (or r^e over depth); the zero factors start weights at
zero. With no fault it is the table itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.config import (
    BatchConfig,
    Execution,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    Science,
)
from experiments.coordinates import Coordinate, observe, resize, rows
from experiments.hypers import hypers
from experiments.population import QUICK_COMPILE
from experiments.step import recipe
from models.config import PLAIN, TransformerConfig
from scaling.parametrization import Parametrization, Rule, Shape, Weight
from scaling.rules import Family

MATRICES = ("query", "hidden")
FAULTS = (
    "embedding_init",
    "embedding_rate",
    "hidden_init",
    "hidden_rate",
    "readout_multiplier",
    "readout_init",
    "readout_rate",
    "attention",
    "epsilon",
    "branch",  # of r
    "block_rate",  # of r
)
STEPS = 4


@dataclass(frozen=True)
class Faulty(Parametrization):
    faults: Mapping[str, Any] = field(default_factory=dict)

    def rule(self, weight: Weight, shape: Shape, family: Family = "normalised") -> Rule:
        rule, scale, f = super().rule(weight, shape, family), self._scale(shape), self.faults
        kind = "hidden" if weight.role in MATRICES else weight.role
        zero = {"query": f["keep_query"], "readout": f["keep_readout"]}
        none = jnp.float32(0)
        depth = scale.r ** f["block_rate"] if weight.in_block else 1.0
        return replace(
            rule,
            init_std=rule.init_std
            * scale.m ** f.get(f"{kind}_init", none)
            * zero.get(weight.role, 1.0),
            multiplier=rule.multiplier * scale.m ** f.get(f"{kind}_multiplier", none),
            learning_rate=rule.learning_rate * scale.m ** f.get(f"{kind}_rate", none) * depth,
            epsilon=rule.epsilon * scale.m ** f["epsilon"],
        )

    def residual_factor(self, shape: Shape) -> Any:
        return super().residual_factor(shape) * self._scale(shape).r ** self.faults["branch"]

    def attention_factor(self, head_dim: int) -> Any:
        return (
            super().attention_factor(head_dim)
            * (head_dim / self.base_head_dim) ** self.faults["attention"]
        )


def config(name: Any = "mup", **model: Any) -> RunConfig:
    """The model at its base shape, untied, with one set of gains and rates for all tests."""
    shape = {
        "layers": 1, "width": 32, "heads": 1, "kv_heads": 1, "head_dim": 32, "ffn": 128,
        "vocab_size": 64, "embeddings": "untied", "embedding_norm": "rmsnorm", "mlp": "gelu",
    }  # fmt: skip
    return RunConfig(
        Science(
            model=TransformerConfig(**{**shape, **model}),
            parametrization=Parametrization(name, base_width=32, base_head_dim=32, base_layers=1),
            optimizer=OptimizerConfig(learning_rate=2.0**-6, weight_decay=0.0),
            schedule=ScheduleConfig("constant", warmup_fraction=0.0),
            batch=BatchConfig(sequences=2, seq_len=8),
        ),
        Execution(program=replace(PLAIN, layers="scan"), microbatch=2),
    )


Variant = Mapping[str, float]  # faults, "learning_rate" and "init_epsilon"
NOTHING: Variant = dict.fromkeys(FAULTS, 0.0) | {"keep_query": 1.0, "keep_readout": 1.0}


def tables(
    base: RunConfig,
    variants: Sequence[Variant],
    seeds: int,
    steps: int = STEPS,
    **sizes: Sequence[int],
) -> list[list[Coordinate]]:
    """The coordinates of each variant over the sizes `width=` or `layers=`."""
    rng = np.random.default_rng(0)
    # a few of the tokens are frequent, as in text
    b = base.science.batch
    batches = np.minimum(rng.geometric(0.1, (seeds, b.sequences, b.seq_len + 1)), 64) - 1
    out: list[list[Coordinate]] = [[] for _ in variants]
    ((axis, values),) = sizes.items()
    plain = hypers(base.science)
    full = [
        NOTHING | {"learning_rate": float(plain.learning_rate), "adam_epsilon": 1e-8} | v
        for v in variants
    ]
    stacked = {name: np.float32([v[name] for v in full]) for name in full[0]}
    for value in values:
        sized = resize(base, "head_dim", **{axis: value})
        made = recipe(sized)
        p = sized.science.parametrization

        def one(faults: Any, seed: Any, batch: Any, made: Any = made, p: Any = p) -> Any:
            faulty = Faulty(**{**vars(p), "faults": faults})
            leaves = plain.replace(
                seed=seed, learning_rate=faults["learning_rate"], epsilon=faults["adam_epsilon"]
            )
            own = replace(made, spec=replace(made.spec, parametrization=faulty))
            return observe(own, leaves, batch, steps)

        over_seeds = jax.vmap(one, in_axes=(None, 0, 0))
        program = jax.jit(
            jax.vmap(over_seeds, in_axes=(0, None, None)), compiler_options=QUICK_COMPILE["cpu"]
        )
        numbers = np.arange(seeds, dtype=np.uint32)
        seen = jax.device_get(program(stacked, numbers, batches.astype(np.int32)))
        for i, table in enumerate(out):
            own = jax.tree.map(lambda x, i=i: x[i], seen)
            table.extend(rows(sized.science.model, numbers, own))
    return out
