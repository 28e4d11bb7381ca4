"""Tiny models as operations see them: descriptions, drawn arrays, and the logits that they give."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from experiments.config.run import RunConfig
from experiments.operations import Arrays, Blueprint
from experiments.plan.run import Derived, Run
from experiments.training.derived import blueprint
from experiments.training.exports.single_file import from_arrays, to_arrays
from experiments.training.hypers import hypers
from experiments.training.populations.programs import programs
from experiments.training.step import recipe
from models.transformer import readout, stream

TWO = ("model.layers=2", "model.embeddings=untied", "model.heads=2", "model.kv_heads=2")


def config(*assignments: str) -> RunConfig:
    """The tiny model of two layers."""
    return tiny.config(*TWO, *assignments)


@cache
def drawn(of: RunConfig, seed: int) -> Arrays:
    """Initial arrays by a seed, gains and biases moved from where they start."""
    made = recipe(of)
    science = tiny.override(of, [f"seed={seed}"]).science
    arrays = to_arrays(made, programs(made).init(hypers(science)).params)
    rng = np.random.default_rng(seed)
    return {k: v + 0.1 * rng.normal(size=v.shape).astype(np.float32) for k, v in arrays.items()}


def plan(parents: Sequence[RunConfig], child: RunConfig, *, based: bool = True) -> Blueprint:
    """The blueprint of a child; its parents descend from the first where `based`."""
    base = Run(parents[0], 0)
    others = [
        Run(tiny.override(each, [f"seed={i}"]), 0, beginning=Derived((base,), "continue"))
        if based
        else Run(tiny.override(each, [f"seed={i}"]), 0)
        for i, each in enumerate(parents[1:], 1)
    ]
    run = Run(child, 0, beginning=Derived((base, *others), "any"))
    return blueprint(run, lambda: drawn(child, 99))


def logits(of: RunConfig, arrays: Arrays) -> np.ndarray:
    """The logits of a few tokens."""
    made = recipe(of)
    params = jax.tree.map(jnp.asarray, from_arrays(made, arrays, "here"))
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 16)))
    x, w = stream(made.spec, params, tokens)
    return np.asarray(readout(made.spec, x, w))
