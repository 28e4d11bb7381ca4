"""Reading order of one store: a function of (seed, place) alone.

With T = seq_len, a store of n tokens has W = (n - 1) // T windows. Window i holds the tokens
[i T, i T + T]: inputs and targets shifted by one. Each token is a target at most once an epoch.
The endless sequence of windows is

    window(j) = permutation(seed, epoch)(j mod W),    epoch = j // W
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from experiments.data.store import TokenStore
from scaling.common.errors import UserError

SHUFFLE_ROUNDS = 4


def window_count(tokens: int, seq_len: int) -> int:
    """W: the number of windows of seq_len targets in these tokens."""
    return max(0, (tokens - 1) // seq_len)


def windows_of(store: TokenStore, seq_len: int, split: str) -> int:
    """W of a store. Raises a UserError that names the split where it is 0."""
    windows = window_count(store.tokens, seq_len)
    if not windows:
        raise UserError(
            f"data: the {split} split has {store.tokens} tokens, one window of "
            f"batch.seq_len={seq_len} needs {seq_len + 1}; give more text or lower batch.seq_len"
        )
    return windows


def window_order(seed: int | str, places: NDArray[np.int64], windows: int) -> NDArray[np.int64]:
    """[n] places of the endless sequence -> [n] window numbers below ``windows``."""
    from grain.experimental import index_shuffle

    epochs, places = np.divmod(places, windows)
    seeds = {int(epoch): _epoch_seed(seed, int(epoch)) for epoch in np.unique(epochs)}
    return np.fromiter(
        (
            index_shuffle(place, max_index=windows - 1, seed=seeds[epoch], rounds=SHUFFLE_ROUNDS)
            for epoch, place in zip(epochs.tolist(), places.tolist(), strict=True)
        ),
        np.int64,
        count=len(places),
    )


def _epoch_seed(seed: int | str, epoch: int) -> int:
    """32 bits for grain's permutation, unrelated between seeds and between epochs."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:4], "little")
