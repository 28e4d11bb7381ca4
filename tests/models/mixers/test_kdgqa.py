"""Query heads by the norms of keys: the published rule by hand, and grouped attention's limits."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from models.config import TransformerConfig
from models.mixers._kdgqa import allocated, key_heads
from scaling.common.errors import UserError


@pytest.mark.parametrize(
    ("norms", "queries"),
    [
        ((1.0, 2.0, 3.0, 5.0), (0, 1, 2, 5)),  # shares 0, 1/7, 2/7, 4/7 of 8: 0, 1.14, 2.29, 4.57
        ((2.0, 2.0, 2.0, 2.0), (2, 2, 2, 2)),
        ((0.0, 1.0, 1.0, 1.0), (0, 2, 3, 3)),  # 0, 2.67, 2.67, 2.67: one too many
        ((7.0, 3.0, 3.0, 3.0), (8, 0, 0, 0)),
    ],
)
def test_queries_are_in_proportion_to_norms_above_the_least(
    norms: tuple[float, ...], queries: tuple[int, ...]
) -> None:
    found = allocated(jnp.array(norms), 8)
    np.testing.assert_array_equal(found, queries)
    heads = key_heads(found, 8)
    np.testing.assert_array_equal(np.bincount(heads, minlength=4), queries)
    assert (np.diff(heads) >= 0).all()


def test_any_norms_give_every_head_a_key_head() -> None:
    norms = np.random.default_rng(0).uniform(size=(1000, 5)).astype(np.float32)
    found = np.asarray(allocated(jnp.array(norms), 12))
    assert (found.sum(-1) == 12).all() and (found >= 0).all()


def test_keys_of_one_norm_are_refused() -> None:
    with pytest.raises(UserError, match=r"model\.pattern=kdgqa: its keys are told apart by"):
        TransformerConfig(pattern=("kdgqa",), qk_norm="rmsnorm")
