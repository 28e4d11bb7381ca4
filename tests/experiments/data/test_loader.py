"""The order of data: a function of (seed, step) alone, no target twice in an epoch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.data import MemoryTokens, MixedTokens, check_budget, chunks, validation_windows
from experiments.data.order import window_count, window_order
from scaling.common.errors import UserError

ORDER = {"seed": 1, "sequences": 3, "seq_len": 7}


def numbered(tokens: int) -> MixedTokens:
    """One store whose token i is i, so that a batch tells where it was read."""
    return MixedTokens((MemoryTokens(np.arange(tokens)),))


def steps(store: MixedTokens, start: int, stop: int, per_chunk: int, **order: int) -> np.ndarray:
    """[steps, B, T + 1], chunks joined and the padding cut off."""
    found = list(
        chunks(store, start_step=start, stop_step=stop, steps_per_chunk=per_chunk, **order)
    )
    assert {chunk.shape[0] for chunk in found} <= {per_chunk}
    return np.concatenate(found)[: stop - start]


@settings(deadline=None, max_examples=60)
@given(
    tokens=st.integers(2, 400),
    seq_len=st.integers(1, 20),
    sequences=st.integers(1, 5),
    epochs=st.integers(1, 3),
    per_chunk=st.integers(1, 7),
    seed=st.integers(-(2**70), 2**70),
)
def test_each_target_once_per_epoch(
    tokens: int, seq_len: int, sequences: int, epochs: int, per_chunk: int, seed: int
) -> None:
    windows = window_count(tokens, seq_len)
    if windows == 0:
        return
    order = {"seed": seed, "sequences": sequences, "seq_len": seq_len}
    positions = epochs * windows
    count = -(-positions // sequences)
    batches = steps(numbered(tokens), 0, count, per_chunk, **order)
    np.testing.assert_array_equal(batches[..., 1:], batches[..., :-1] + 1)
    rows = batches.reshape(-1, seq_len + 1)[:positions]
    targets = Counter(rows[:, 1:].ravel().tolist())
    assert set(targets.values()) == {epochs}
    assert set(targets) == set(range(1, windows * seq_len + 1))
    within = -(-windows // sequences) - 1  # whole steps inside the first epoch
    first = batches[:within, :, 1:].ravel()
    assert len(set(first.tolist())) == first.size


@pytest.mark.parametrize("start", [0, 1, 10, 23])
@pytest.mark.parametrize("per_chunk", [1, 4, 10, 50])
def test_any_start_and_chunk_size_give_the_same_stream(start: int, per_chunk: int) -> None:
    store = numbered(200)  # 28 windows: 24 steps of 3 cross two ends of an epoch
    whole = steps(store, 0, 24, 10, **ORDER)
    np.testing.assert_array_equal(steps(store, start, 24, per_chunk, **ORDER), whole[start:])


def test_the_last_chunk_keeps_its_shape_by_repeating_its_last_step() -> None:
    *_, last = chunks(numbered(200), start_step=0, stop_step=5, steps_per_chunk=4, **ORDER)
    assert last.shape == (4, 3, 8)
    assert last.dtype == np.int32
    np.testing.assert_array_equal(last, np.repeat(last[:1], 4, axis=0))


def test_nothing_left_to_do() -> None:
    store = numbered(200)
    assert list(chunks(store, start_step=9, stop_step=9, steps_per_chunk=4, **ORDER)) == []


def test_seeds_and_epochs_differ() -> None:
    epoch = np.arange(100)
    orders = [window_order(seed, epoch + 100 * e, 100).tolist() for seed in (0, 1) for e in (0, 1)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    same = [sum(map(int.__eq__, a, b)) for i, a in enumerate(orders) for b in orders[:i]]
    assert max(same) < 15  # one place in a hundred agrees by chance


def test_the_order_is_mixed() -> None:
    order = window_order(0, np.arange(4096), 4096)
    assert abs(np.corrcoef(order, np.arange(4096))[0, 1]) < 0.06
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.06


def test_the_order_is_the_one_of_earlier_versions() -> None:
    """Records name a seed: its order may not change with a version of grain or of this code."""
    assert window_order(0, np.arange(8), 1000).tolist() == [574, 748, 142, 773, 976, 520, 769, 120]
    late = np.arange(10**6, 10**6 + 4)
    assert window_order(7, late, 89_000).tolist() == [29826, 29714, 24873, 26545]


def test_budget() -> None:
    store = numbered(1001)  # 10 windows of 100
    check_budget(store, seed=0, tokens=1000, seq_len=100, repeats=(1,))
    check_budget(store, seed=0, tokens=3000, seq_len=100, repeats=(3,))
    with pytest.raises(UserError) as caught:
        check_budget(store, seed=0, tokens=2100, seq_len=100, repeats=(2,))
    assert str(caught.value) == (
        "data.epochs=2: the corpus has 1,000 training tokens, the run needs 2,100; "
        "declare data.epochs=3 or lower budget.tokens"
    )


def test_a_corpus_below_one_window() -> None:
    says = r"the train split has 8 tokens, one window of batch\.seq_len=8 needs 9"
    with pytest.raises(UserError, match=says):
        check_budget(numbered(8), seed=0, tokens=8, seq_len=8, repeats=(1,))
    with pytest.raises(UserError, match="the train split"):
        chunks(
            numbered(8),
            seed=0,
            sequences=1,
            seq_len=8,
            start_step=0,
            stop_step=1,
            steps_per_chunk=1,
        )
    with pytest.raises(UserError, match="the valid split has 8 tokens"):
        validation_windows(numbered(8).stores, 4, seq_len=8)


def test_validation_windows_are_fixed_distinct_and_spread() -> None:
    store = numbered(1001)
    four = validation_windows(store.stores, 4, seq_len=10)
    assert four.shape == (4, 11)
    assert four[:, 0].tolist() == [0, 250, 500, 750]
    assert validation_windows(store.stores, 10**6, seq_len=10)[:, 0].tolist() == list(
        range(0, 1000, 10)
    )
