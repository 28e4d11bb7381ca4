"""Query heads follow the norms of the keys so far."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from models.mixers._kdgqa import owners


@pytest.mark.parametrize(
    ("norms", "expected"),
    [
        ([1.0, 2.0, 3.0], [0, 2, 4]),  # shares 0, 1/3, 2/3
        ([3.0, 1.0, 2.5], [3, 0, 3]),  # 4/7, 0, 3/7 of six: 3.4, 3.4, 6
        ([2.0, 2.0, 2.0], [2, 2, 2]),
        ([1.0, 1.0, 4.0], [0, 0, 6]),
    ],
)
def test_query_heads_are_shared_out_by_normalised_norms(norms: list, expected: list) -> None:
    found = np.asarray(owners(jnp.asarray(norms)[None, None], 6))[0, 0]
    assert list(found) == sorted(found)
    assert np.bincount(found, minlength=3).tolist() == expected
