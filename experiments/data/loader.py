"""Which tokens a step sees: a function of (seed, step) alone.

With T = seq_len, a split of n tokens has W = (n - 1) // T windows. Window i holds the tokens
[i T, i T + T], inputs and targets shifted by one, so each token is a target at most once an epoch.
Step s takes the windows at positions s B ... s B + B - 1 of the endless sequence

    window(p) = permutation(seed, epoch)(p mod W),    epoch = p // W

so nothing is kept between steps: any step can be had at once, on any host, and a run resumes
exactly from its step number. Neither the machine nor the size of a chunk enters.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from experiments.data.store import TokenStore
from scaling.common.errors import UserError

SHUFFLE_ROUNDS = 4


def window_count(tokens: int, seq_len: int) -> int:
    """W: how many windows of seq_len targets these tokens give."""
    return max(0, (tokens - 1) // seq_len)


def epochs_seen(store: TokenStore, tokens_seen: int, seq_len: int) -> float:
    """How often the average target was seen after training on ``tokens_seen`` targets."""
    return tokens_seen / (_windows(store, seq_len, "train") * seq_len)


def check_budget(store: TokenStore, tokens_needed: int, seq_len: int, epochs: int) -> None:
    """Raise a UserError unless the split gives that many targets in the declared epochs."""
    per_epoch = _windows(store, seq_len, "train") * seq_len
    if tokens_needed > epochs * per_epoch:
        raise UserError(
            f"data.epochs={epochs}: the corpus has {per_epoch:,} training tokens, the run needs "
            f"{tokens_needed:,}; declare data.epochs={math.ceil(tokens_needed / per_epoch)} "
            "or lower budget.tokens"
        )


def window_order(seed: int, positions: NDArray[np.int64], windows: int) -> NDArray[np.int64]:
    """[n] positions of the endless sequence -> [n] window numbers below ``windows``."""
    from grain.experimental import index_shuffle

    epochs, places = np.divmod(positions, windows)
    seeds = {int(epoch): _epoch_seed(seed, int(epoch)) for epoch in np.unique(epochs)}
    return np.fromiter(
        (
            index_shuffle(place, max_index=windows - 1, seed=seeds[epoch], rounds=SHUFFLE_ROUNDS)
            for epoch, place in zip(epochs.tolist(), places.tolist(), strict=True)
        ),
        np.int64,
        count=len(positions),
    )


def chunks(
    store: TokenStore,
    *,
    seed: int,
    sequences: int,
    seq_len: int,
    start_step: int,
    stop_step: int,
    steps_per_chunk: int,
) -> Iterator[NDArray[np.int32]]:
    """The batches of steps [start_step, stop_step), K = steps_per_chunk at a time: [K, B, T + 1].

    The last chunk repeats its last step up to the full shape, so that one executable serves all;
    the caller leaves the surplus out. Epochs are not limited here, see ``check_budget``.
    """
    import grain

    windows = _windows(store, seq_len, "train")

    def gather(first: int) -> NDArray[np.int32]:
        steps = np.minimum(np.arange(first, first + steps_per_chunk), stop_step - 1)
        positions = steps[:, None] * sequences + np.arange(sequences)
        order = window_order(seed, positions.ravel(), windows)
        tokens = store.windows(order * seq_len, seq_len + 1)
        return tokens.reshape(steps_per_chunk, sequences, seq_len + 1)

    if start_step >= stop_step:
        return iter(())
    firsts = grain.MapDataset.range(start_step, stop_step, steps_per_chunk)
    # A chunk is one element: per-window elements cost more than the copy itself.
    ahead = grain.ReadOptions(
        num_threads=store.read_threads, prefetch_buffer_size=2 * store.read_threads
    )
    return iter(firsts.map(gather).to_iter_dataset(ahead))


def validation_windows(store: TokenStore, count: int, seq_len: int) -> NDArray[np.int32]:
    """[n, T + 1]: n = min(count, W) windows, evenly spread, the same for every run."""
    windows = _windows(store, seq_len, "valid")
    chosen = min(count, windows)
    order = np.arange(chosen, dtype=np.int64) * windows // chosen
    return store.windows(order * seq_len, seq_len + 1)


def _windows(store: TokenStore, seq_len: int, split: str) -> int:
    windows = window_count(store.tokens, seq_len)
    if not windows:
        raise UserError(
            f"data: the {split} split has {store.tokens} tokens, one window of "
            f"batch.seq_len={seq_len} needs {seq_len + 1}; give more text or lower batch.seq_len"
        )
    return windows


def _epoch_seed(seed: int, epoch: int) -> int:
    """32 bits for grain's permutation, unrelated between seeds and between epochs."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:4], "little")
