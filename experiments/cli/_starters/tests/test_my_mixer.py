"""The mixer has the weights that it counts, and sees no later token."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import jax
import numpy as np

os.environ.setdefault("WINDTUNNEL_PLUGINS", str(Path(__file__).parents[1]))

from models.config import TransformerConfig
from models.module import Spec
from models.transformer import apply, init
from scaling.counting.formulas import params_total

CONTEXT = 6
CONFIG = TransformerConfig(layers=2, width=8, heads=2, kv_heads=2, head_dim=4, ffn=12,
                           vocab_size=11, pattern=("my_mixer",))  # fmt: skip


def test_it_counts_its_weights_and_sees_no_later_token() -> None:
    spec = Spec(CONFIG)
    params = jax.jit(partial(init, spec, CONTEXT))(jax.random.key(0))
    sizes = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert sizes == params_total(CONFIG.dims(CONTEXT))

    tokens = jax.random.randint(jax.random.key(1), (2, CONTEXT), 0, CONFIG.vocab_size)
    later = tokens.at[:, 3:].add(1) % CONFIG.vocab_size
    run = jax.jit(partial(apply, spec, params))
    moved = np.abs(run(tokens) - run(later))
    np.testing.assert_array_equal(moved[:, :3], 0)
    assert moved[:, 3:].max() > 0
