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
    taken, places = mixture.locate(seed, np.arange(positions), T)
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
    starts = {tuple(mixture.locate(seed, np.arange(12), T)[0]) for seed in range(20)}
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
    check_budget(mixture, seed=0, tokens=40 * T, seq_len=T, repeats=(1, 1))
    with pytest.raises(UserError, match=r"corpus 2 of data\.corpora has 40 .* needs 80; .*=2"):
        check_budget(mixture, seed=0, tokens=80 * T, seq_len=T, repeats=(1, 1))


@settings(deadline=None, max_examples=10)
@given(
    shares=st.lists(shares, min_size=1, max_size=3),
    gap=st.integers(1, 2000),
    seed=st.integers(0, 2**31 - 1),
)
def test_each_stage_has_its_own_weights_and_goes_on_in_the_same_order(
    shares: list[list[int]], gap: int, seed: int
) -> None:
    K = min(map(len, shares))
    each = [np.array(stage[:K]) / sum(stage[:K]) for stage in shares]
    begins = [gap * T * i for i in range(1, len(each))]
    mixture = MixedTokens(
        stores(*[9] * K), tuple(np.concatenate(each).tolist()), stages=tuple(begins)
    )
    positions = np.arange(gap * len(each))
    taken, places = mixture.locate(seed, positions, T)
    for stage, weights in zip(np.split(taken, len(each)), each, strict=True):
        seen = np.cumsum(stage[:, None] == np.arange(K), axis=0)
        wanted = np.arange(1, gap + 1)[:, None] * (np.array(quotas(tuple(weights))) / BLOCK)
        assert np.abs(seen - wanted).max() < 2
    for k in range(K):  # no place is left out, whatever the stages
        np.testing.assert_array_equal(places[taken == k], np.arange((taken == k).sum()))
    assert mixture.targets(seed, len(positions) * T, T) == tuple(
        np.bincount(taken, minlength=K) * T
    )
    shorter = mixture.locate(seed, positions[: gap // 2], T)
    np.testing.assert_array_equal(shorter[0], taken[: gap // 2])


@settings(deadline=None, max_examples=10)
@given(
    caps=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    laps=st.integers(1, 4),
    seed=st.integers(0, 2**31 - 1),
)
def test_sources_of_one_text_draw_disjoint_parts_and_repeat_only_whole_ones(
    caps: list[int], laps: int, seed: int
) -> None:
    """Caps are exact, no window is in two sources, none comes again before all have come."""
    (store,) = stores(80)
    unique = (*(cap * T for cap in caps), 0)
    K = len(unique)
    mixture = MixedTokens((store,) * K, (1 / K,) * K, unique_tokens=unique)
    counts = [windows // T for windows in mixture.targets_per_epoch(T)]
    assert counts == [*caps, 80 - sum(caps)]
    positions = np.arange(laps * K * max(caps))
    taken, _ = mixture.locate(seed, positions, T)
    windows = mixture.windows(seed, positions, T)[:, 0] // T
    drawn = [windows[taken == k] for k in range(K)]
    assert not set.intersection(*map(set, drawn)) or K == 1
    for own, count in zip(drawn, counts, strict=True):
        for lap in np.split(own, range(count, len(own), count)):
            assert len(set(lap.tolist())) == len(lap)
        assert len(set(own.tolist())) == min(count, len(own))
    assert mixture.repeats(seed, len(positions) * T, T) == tuple(
        -(-len(own) // count) for own, count in zip(drawn, counts, strict=True)
    )


def test_a_larger_cap_holds_the_smaller_one_whatever_the_seed() -> None:
    def drawn(cap: int, seed: int) -> set[int]:
        mixture = MixedTokens(stores(90), unique_tokens=(cap * T,))
        return set(mixture.windows(seed, np.arange(cap), T)[:, 0].tolist())

    assert drawn(10, seed=0) == drawn(10, seed=7) < drawn(30, seed=1)


def test_a_source_of_weight_zero_is_never_drawn() -> None:
    mixture = MixedTokens(stores(9, 9, 9), (0.5, 0.0, 0.5))
    taken, _ = mixture.locate(3, np.arange(BLOCK), T)
    assert np.bincount(taken, minlength=3).tolist() == [BLOCK // 2, 0, BLOCK // 2]


@pytest.mark.parametrize(
    ("caps", "says"),
    [
        ((44, 0), "source 1 has 40 training tokens; lower its cap"),
        ((24, 24), "source 2 has 16 training tokens after the 24 of sources before it"),
        ((40, 0), "source 2 has 0 training tokens after the 40"),
        ((0, 24), "data.unique_tokens=0 for source 1: below one window"),
        ((3, 0), "data.unique_tokens=3 for source 1: below one window of batch.seq_len=4"),
    ],
)
def test_a_cap_that_the_text_cannot_fill_is_refused(caps: tuple[int, ...], says: str) -> None:
    (store,) = stores(10)
    with pytest.raises(UserError) as caught:
        MixedTokens((store, store), (0.5, 0.5), unique_tokens=caps).targets_per_epoch(T)
    assert says in str(caught.value)


def test_repeats_are_declared_for_each_source() -> None:
    mixture = MixedTokens(stores(100, 10), (0.5, 0.5))
    check_budget(mixture, seed=0, tokens=80 * T, seq_len=T, repeats=(1, 5))
    with pytest.raises(UserError, match=r"data\.repeats of corpus 2,=3: .* has 40 .* needs 160"):
        check_budget(mixture, seed=0, tokens=80 * T, seq_len=T, repeats=(1, 3))
    late = MixedTokens(stores(100), (1.0, 1.0), stages=(90 * T,))
    with pytest.raises(UserError, match="the last begins after the end of a run of 320 tokens"):
        check_budget(late, seed=0, tokens=80 * T, seq_len=T, repeats=(1,))


def test_validation_takes_equally_many_windows_of_each_store() -> None:
    found = validation_windows(stores(100, 10), 8, T)[:, 0]
    assert (found // 10_000).tolist() == [0] * 4 + [1] * 4
    with pytest.raises(UserError, match=r"corpus 2 .* has 3; set evaluation\.windows=6"):
        validation_windows(stores(100, 3), 8, T)
