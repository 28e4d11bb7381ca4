"""Parametrizations with mistakes in them, and many tables in one compiled program.

A fault e multiplies what it names by m^e (`branch`, `block_rate` and `block_epsilon` by r^e):
"hidden_rate", "f->d_init" of the weights of these letters, "epsilon" of all. `keep_query` 0 and the
like start the weights of a role at zero. Without faults it is the table itself. Every number of the
table is traced.
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
from experiments.training.coordinate_check import (
    Coordinate,
    observe,
    probe,
    resize,
    rows,
    rule_rows,
)
from experiments.training.hypers import hypers
from experiments.training.populations.programs import QUICK_COMPILE
from experiments.training.step import Recipe, recipe
from models.config import TransformerConfig
from scaling.machines.program import PLAIN
from scaling.parametrization.parametrization import Parametrization, Shape
from scaling.parametrization.tables import FAMILIES, TABLES, Family, Rule
from scaling.parametrization.weight import Weight

STEPS = 4
Numbers = dict[str, Any]


@dataclass(frozen=True)
class Faulty(Parametrization):
    faults: Mapping[str, float] = field(default_factory=dict)

    def rule(self, weight: Weight, shape: Shape, family: Family = "normalised") -> Rule:
        scale, f = self._ratios(shape, weight), self.faults
        rule = TABLES[self.name].rows[weight.role](weight, scale)
        kind = "hidden" if weight.role == "query" else weight.role
        zero = f"keep_{weight.role}"

        def factor(part: str) -> float:
            names = f"{kind}_{part}", f"{weight.letters}_{part}", part
            return scale.m ** sum(f.get(name, 0.0) for name in names)

        depth = scale.r if weight.in_block else 1.0
        return FAMILIES[family](
            replace(
                rule,
                init_std=rule.init_std * factor("init") * f.get(zero, 1.0),
                multiplier=rule.multiplier * factor("multiplier"),
                learning_rate=rule.learning_rate
                * factor("rate")
                * depth ** f.get("block_rate", 0.0),
                weight_decay=rule.weight_decay * factor("decay"),
                epsilon=rule.epsilon * factor("epsilon") * depth ** f.get("block_epsilon", 0.0),
            ),
            TABLES[self.name].full_rank(scale),
        )

    def residual_factor(self, shape: Shape) -> float:
        return super().residual_factor(shape) * self._ratios(shape).r ** self.faults.get(
            "branch", 0.0
        )

    def attention_factor(self, head_dim: int) -> float:
        return super().attention_factor(head_dim) * (
            head_dim / self.base_head_dim
        ) ** self.faults.get("attention", 0.0)

    def tied_readout_factor(self, shape: Shape) -> float:
        return super().tied_readout_factor(shape) * self._ratios(shape).m ** self.faults.get(
            "tied", 0.0
        )


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

    def tied_readout_factor(self, shape: Shape) -> Any:
        return self.said["tied"]


def numbers(p: Parametrization, made: Recipe) -> Numbers:
    """The table's numbers of a model, by weight; those of the forward pass by bare name."""
    model, kind = made.spec.config, optimizer(made.optimizer)
    bare = [replace(w, path=w.path.rsplit("/", 1)[-1]) for w in made.table]
    return {
        "rules": {
            _key(w): vars(p.rule(w, model, kind.family_of(w.role))) for w in bare + made.table
        },
        "residual": p.residual_factor(model),
        "attention": p.attention_factor(model.head_dim),
        "tied": p.tied_readout_factor(model) if model.embeddings == "tied" else 1.0,
    }


def traced(made: Recipe, said: Numbers) -> Recipe:
    """The recipe with these numbers, which may be traced, for those of its table."""
    own = Traced(**vars(made.spec.parametrization), said=said)
    return replace(made, spec=replace(made.spec, parametrization=own))


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
SETTINGS = ("name", "learning_rate", "adam_epsilon")


def faulty(base: Parametrization, variant: Variant) -> Faulty:
    faults = {name: value for name, value in variant.items() if name not in SETTINGS}
    return Faulty(**{**vars(base), "name": variant.get("name", base.name), "faults": faults})


def tables(
    base: RunConfig,
    variants: Sequence[Variant],
    seeds: int,
    steps: int = STEPS,
    **sizes: Sequence[int],
) -> list[list[Coordinate]]:
    """The coordinates of each variant over the sizes `width=` or `layers=`.

    Without steps the rules in force alone, and no activation.
    """
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
        mistaken = [faulty(p, variant) for variant in variants]
        each = [
            {
                "said": numbers(table, made),
                "learning_rate": variant.get("learning_rate", plain.learning_rate),
                "epsilon": variant.get("adam_epsilon", plain.epsilon),
            }
            for table, variant in zip(mistaken, variants, strict=True)
        ]

        def own(variant: Any, made: Recipe = made) -> tuple[Recipe, Any]:
            rest = {name: variant[name] for name in ("learning_rate", "epsilon")}
            return traced(made, variant["said"]), plain.replace(**rest)

        def rules(variant: Any, own: Any = own) -> Any:
            return probe(*own(variant))

        def one(variant: Any, seed: Any, batch: Any, own: Any = own) -> Any:
            made, leaves = own(variant)
            return observe(made, leaves.replace(seed=seed), batch, steps)

        def run(function: Any, *arguments: Any) -> Any:
            program = jax.jit(function, compiler_options=QUICK_COMPILE["cpu"])
            return jax.device_get(program(*arguments))

        stacked = jax.tree.map(lambda *leaves: np.float32(leaves), *each)
        drawn = np.arange(seeds, dtype=np.uint32)
        found = run(lambda s, f=rules: jax.lax.map(f, s), stacked)  # memory for one at a time
        for i, (table, own) in enumerate(zip(out, mistaken, strict=True)):
            spec = replace(made.spec, parametrization=own)
            told = jax.tree.map(lambda x, i=i: x[i], found)
            table.extend(rule_rows(replace(made, spec=spec), 0, told))
        if not steps:
            continue
        over_seeds = jax.vmap(one, in_axes=(None, 0, 0))
        seen = run(  # one variant after another, so that memory holds the seeds of one
            lambda s, n, b, f=over_seeds: jax.lax.map(lambda mine: f(mine, n, b), s),
            stacked, drawn, batches.astype(np.int32),
        )  # fmt: skip
        for i, (table, own) in enumerate(zip(out, mistaken, strict=True)):
            spec = replace(made.spec, parametrization=own)
            table.extend(rows(spec, drawn, jax.tree.map(lambda x, i=i: x[i], seen)))
    return out
