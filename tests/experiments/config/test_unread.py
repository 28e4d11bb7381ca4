"""Fields are declared unread exactly where neither the program nor a number of it changes."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import tiny
from jax.interpreters import partial_eval
from other_values import another, leaf

from experiments.config.identity import identity
from experiments.config.overrides import override
from experiments.config.run import RunConfig
from experiments.config.unread import READ_IF, is_read, why
from experiments.training.hypers import hypers
from experiments.training.step import Recipe, init_state, recipe, step

EXPERTS = ("model.experts=4", "model.experts_active=2", "model.capacity_factor=1")
OTHER = {"parametrization.attention_scale": "1/d"}  # the next name may be the table's own scale
UNTIED = "model.embeddings=untied"
MODELS = {
    "dense": (),
    "experts, mup": (*EXPERTS, "parametrization.name=mup", "evaluation.weights=ema"),
    "named": (*EXPERTS, "model.pattern=attention+mlp", UNTIED, "model.biases=all"),
}
BASES = MODELS | {
    "sgd, constant, rounded": (
        "optimizer.name=sgd",
        "optimizer.rounded=int8",
        "tuning.method=support",
        "schedule.name=constant",
        "parametrization.learning_rate_powers.hidden=-1",
    ),
    "muon, infinite": (
        "optimizer.name=muon",
        "schedule.name=infinite",
        "parametrization.name=completep",
        "parametrization.zero_init=readout",
        "model.gains=none",
        UNTIED,
    ),
    "lion, power": (
        "optimizer.name=lion",
        "tuning.method=low_rank",
        "schedule.name=power",
        "parametrization.name=umup",
        "parametrization.attention_scale=1/sqrt(d)",
    ),
    "adafactor, wsd": (
        "optimizer.name=adafactor",
        "schedule.name=wsd",
        "parametrization.name=lingle_relative",
        "parametrization.attention_scale=1/sqrt(d)",
        UNTIED,
    ),
    "schedule-free": (
        "optimizer.name=schedule_free_sgd",
        "schedule.name=constant",
        "parametrization.name=ntk",
        UNTIED,
    ),
}


def base(name: str) -> RunConfig:
    ends = ("schedule.final_fraction=0.1", "schedule.decay_fraction=0.3", "budget.tokens=6400")
    shape = ("parametrization.base_width=8", "parametrization.base_layers=1", "model.heads=4")
    return tiny.config(*ends, *shape, *BASES[name])


@cache
def program(made: Recipe) -> tuple[str, frozenset[str]]:
    """The program of the beginning and of a step, without what it computes in vain.

    Returns:
        Its text, and the names of the numbers that it reads.
    """
    numbers = hypers(tiny.config().science)
    batch = jnp.zeros((made.sequences, made.seq_len + 1), jnp.int32)

    def both(leaves: Any) -> Any:
        return step(made, init_state(made, leaves), leaves, batch)

    found = jax.make_jaxpr(both)(numbers).jaxpr
    kept, used = partial_eval.dce_jaxpr(found, [True] * len(found.outvars))
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(numbers)]
    return str(kept), frozenset(n for n, is_used in zip(names, used, strict=True) if is_used)


def rules(config: RunConfig, made: Recipe) -> Any:
    """All that a parametrization gives a model of these weights."""
    p, model = config.science.parametrization, config.science.model
    tied = p.tied_readout_factor(model) if model.embeddings == "tied" else None
    factors = (tied, p.residual_factor(model), p.attention_factor(model.head_dim))
    kind = config.science.optimizer.kind
    return factors, [p.rule(w, model, kind.family_of(w.role)) for w in made.table]


def effect(config: RunConfig, made: Recipe) -> Any:
    """All that decides the result of a run, but for its data and its validations."""
    text, used = program(made)
    numbers = jax.tree_util.tree_leaves_with_path(hypers(config.science))
    values = {jax.tree_util.keystr(path): float(value) for path, value in numbers}
    return text, {name: values[name] for name in used}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in ("experts, mup", "named")))
        for name in BASES
    ],
)
def test_a_field_is_unread_exactly_where_it_changes_nothing(name: str) -> None:
    config = base(name)
    made, wrong = recipe(config, platform="cpu"), {}
    for path in READ_IF.keys() - {"model.router"}:  # which has one possible value
        if path.startswith("model.") and name not in MODELS:
            continue
        value = OTHER.get(path) or another(*leaf(config.science, path))
        changed = override(config, [f"{path}={value}"])
        assert changed != config
        if path.startswith("parametrization."):
            same = rules(changed, made) == rules(config, made)
        else:
            same = effect(changed, recipe(changed, platform="cpu")) == effect(config, made)
        kept = identity(changed.science) == identity(config.science)
        if (is_read(config.science, path), kept) != (not same, same):
            wrong[path] = f"{same=} {kept=}"
    assert not wrong


def test_the_reason_names_the_deciding_settings() -> None:
    science = base("sgd, constant, rounded").science
    assert why(science, "optimizer.beta2") == "which nothing reads under optimizer.name=sgd"
    assert why(science, "data.epochs") == "which changes no run"
