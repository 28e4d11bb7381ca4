"""Parametrizations with mistakes in them, and many tables in one compiled program.

A fault e multiplies what it names by m^e (or r^e over depth); the zero factors start weights at
zero. Without faults it is the table itself. Every number of the table is traced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from experiments.config.optimizer import OptimizerConfig, optimizer
from experiments.config.run import BatchConfig, Execution, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from experiments.training.coordinate_check import Coordinate, observe, resize, rows
from experiments.training.hypers import hypers
from experiments.training.populations.programs import QUICK_COMPILE
from experiments.training.step import Recipe, recipe
from models.config import PLAIN, TransformerConfig
from scaling.parametrization.parametrization import Parametrization, Shape
from scaling.parametrization.tables import Family, Rule
from scaling.parametrization.weight import Weight

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
Numbers = dict[str, Any]


@dataclass(frozen=True)
class Faulty(Parametrization):
    faults: Mapping[str, float] = field(default_factory=dict)

    def rule(self, weight: Weight, shape: Shape, family: Family = "normalised") -> Rule:
        rule, scale, f = super().rule(weight, shape, family), self._ratios(shape), self.faults
        kind = "hidden" if weight.role in MATRICES else weight.role
        zero = {"query": f["keep_query"], "readout": f["keep_readout"]}
        depth = scale.r ** f["block_rate"] if weight.in_block else 1.0
        return replace(
            rule,
            init_std=rule.init_std
            * scale.m ** f.get(f"{kind}_init", 0.0)
            * zero.get(weight.role, 1.0),
            multiplier=rule.multiplier * scale.m ** f.get(f"{kind}_multiplier", 0.0),
            learning_rate=rule.learning_rate * scale.m ** f.get(f"{kind}_rate", 0.0) * depth,
            epsilon=rule.epsilon * scale.m ** f["epsilon"],
        )

    def residual_factor(self, shape: Shape) -> float:
        return super().residual_factor(shape) * self._ratios(shape).r ** self.faults["branch"]

    def attention_factor(self, head_dim: int) -> float:
        return (
            super().attention_factor(head_dim)
            * (head_dim / self.base_head_dim) ** self.faults["attention"]
        )

    def numbers(self, made: Recipe) -> Numbers:
        """The table's numbers of a model, by weight; those of the forward pass by bare name."""
        model, kind = made.spec.config, optimizer(made.optimizer)
        leaves = jax.tree.leaves(made.weights, is_leaf=lambda leaf: isinstance(leaf, Weight))
        bare = [replace(w, path=w.path.rsplit("/", 1)[-1]) for w in leaves]
        return {
            "rules": {
                _key(w): vars(self.rule(w, model, kind.family_of(w.role))) for w in bare + leaves
            },
            "residual": self.residual_factor(model),
            "attention": self.attention_factor(model.head_dim),
        }


def _key(weight: Weight) -> str:
    return f"{weight.path} {weight.letters}"


@dataclass(frozen=True)
class Traced(Parametrization):
    """Any table at one shape and family, as traced numbers."""

    said: Numbers = field(default_factory=dict)

    def rule(self, weight: Weight, shape: Shape, family: Family = "normalised") -> Rule:
        return Rule(**self.said["rules"][_key(weight)])

    def residual_factor(self, shape: Shape) -> Any:
        return self.said["residual"]

    def attention_factor(self, head_dim: int) -> Any:
        return self.said["attention"]


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


Variant = Mapping[str, Any]  # faults, "name" of the table, "learning_rate" and "adam_epsilon"
NOTHING: Variant = dict.fromkeys(FAULTS, 0.0) | {"keep_query": 1.0, "keep_readout": 1.0}


def faulty(base: Parametrization, variant: Variant) -> Faulty:
    faults = {name: variant.get(name, none) for name, none in NOTHING.items()}
    return Faulty(**{**vars(base), "name": variant.get("name", base.name), "faults": faults})


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
    plain, p = hypers(base.science), base.science.parametrization
    for value in values:
        sized = resize(base, "head_dim", **{axis: value})
        made = recipe(sized)
        each = [
            {
                "said": faulty(p, variant).numbers(made),
                "learning_rate": variant.get("learning_rate", plain.learning_rate),
                "epsilon": variant.get("adam_epsilon", plain.epsilon),
            }
            for variant in variants
        ]

        def one(numbers: Any, seed: Any, batch: Any, made: Recipe = made) -> Any:
            rest = {name: numbers[name] for name in ("learning_rate", "epsilon")}
            spec = replace(made.spec, parametrization=Traced(**vars(p), said=numbers["said"]))
            return observe(replace(made, spec=spec), plain.replace(seed=seed, **rest), batch, steps)

        over_seeds = jax.vmap(one, in_axes=(None, 0, 0))
        program = jax.jit(
            jax.vmap(over_seeds, in_axes=(0, None, None)), compiler_options=QUICK_COMPILE["cpu"]
        )
        stacked = jax.tree.map(lambda *leaves: np.float32(leaves), *each)
        numbers = np.arange(seeds, dtype=np.uint32)
        seen = jax.device_get(program(stacked, numbers, batches.astype(np.int32)))
        for i, table in enumerate(out):
            own = jax.tree.map(lambda x, i=i: x[i], seen)
            table.extend(rows(sized.science.model, numbers, own))
    return out
