"""Mixtures: exact counts, spread evenly, each store read in its own order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.data import MemoryTokens, MixedTokens, check_budget, validation_windows
from experiments.data.mixture import BLOCK, quotas
from scaling.common.errors import UserError

T = 4


def stores(*windows: int) -> tuple[MemoryTokens, ...]:
    """Store k with so many windows, whose token i is 10,000 k + i."""
    return tuple(MemoryTokens(np.arange(n * T + 1) + 10_000 * k) for k, n in enumerate(windows))


shares = st.lists(st.integers(1, 50), min_size=1, max_size=5)


@settings(deadline=None, max_examples=12)
@given(shares=shares, seed=st.integers(0, 2**31 - 1), positions=st.integers(1, 3 * BLOCK))
def test_counts_are_exact_and_never_a_window_from_their_weights(
    shares: list[int], seed: int, positions: int
) -> None:
    weights = tuple(share / sum(shares) for share in shares)
    mixture = MixedTokens(stores(*[9] * len(weights)), weights)
    taken, places = mixture.locate(seed, np.arange(positions))
    counts = np.bincount(taken, minlength=len(weights))
    assert mixture.targets(seed, positions * T, T) == tuple(counts * T)
    seen = np.cumsum(taken[:, None] == np.arange(len(weights)), axis=0)
    assert (places == seen[np.arange(positions), taken] - 1).all()
    wanted = np.arange(1, positions + 1)[:, None] * (np.array(quotas(weights)) / BLOCK)
    assert np.abs(seen - wanted).max() < 2  # below 1 from the start of a block, 2 from a seed's


def test_any_position_can_be_had_at_once() -> None:
    mixture = MixedTokens(stores(900, 700, 500), (0.5, 0.3, 0.2))
    whole = mixture.windows(3, np.arange(300), T)
    some = np.array([299, 0, 77, 78])
    np.testing.assert_array_equal(mixture.windows(3, some, T), whole[some])


def test_a_store_is_read_in_one_order_whatever_its_weight() -> None:
    """Every window once an epoch; a mixture changes when a window comes, not after which."""

    def windows(weight: float) -> list[int]:
        mixture = MixedTokens(stores(900, 100), (1 - weight, weight))
        first = mixture.windows(5, np.arange(400), T)[:, 0] - 10_000
        return first[first >= 0].tolist()

    rare, often = windows(0.1), windows(0.6)
    assert len(rare) == 40
    assert often[: len(rare)] == rare
    assert sorted(often[:100]) == [T * i for i in range(100)]


def test_seeds_begin_at_other_places() -> None:
    mixture = MixedTokens(stores(9, 7), (0.6, 0.4))
    starts = {tuple(mixture.locate(seed, np.arange(12))[0]) for seed in range(20)}
    assert len(starts) > 2


def test_one_store_has_the_order_of_earlier_versions() -> None:
    (store,) = stores(1000)
    found = MixedTokens((store,)).windows(0, np.arange(4), T)
    assert (found[:, 0] // T).tolist() == [574, 748, 142, 773]


def test_a_weight_without_a_window_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.weights=1e-05: below 1/10,000"):
        quotas((0.99999, 0.00001))
    assert quotas((1 / 3, 1 / 3, 1 / 3)) == (3334, 3333, 3333)


def test_each_store_has_its_own_budget() -> None:
    mixture = MixedTokens(stores(100, 10), (0.75, 0.25))
    check_budget(mixture, seed=0, tokens=40 * T, seq_len=T, epochs=1)
    with pytest.raises(UserError, match=r"corpus 2 of data\.corpora has 40 .* needs 80; .*=2"):
        check_budget(mixture, seed=0, tokens=80 * T, seq_len=T, epochs=1)


def test_validation_takes_equally_many_windows_of_each_store() -> None:
    found = validation_windows(stores(100, 10), 8, T)[:, 0]
    assert (found // 10_000).tolist() == [0] * 4 + [1] * 4
    with pytest.raises(UserError, match=r"corpus 2 .* has 3; set evaluation\.windows=6"):
        validation_windows(stores(100, 3), 8, T)
