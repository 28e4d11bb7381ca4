"""A mixture of token stores: the store, and its window, at every position p of a run.

Store k has weight w_k and quota c_k, the share of BLOCK positions nearest to w_k BLOCK. A block is
a low-discrepancy sequence (Tijdeman 1980): of its first p positions store k has n_k(p), and

    |n_k(p) - p c_k / BLOCK| < 1    for every p and k

Equal blocks follow each other without end; each seed has an offset in the first. So the store at p,
and its count before p, are a function of (seed, p) in closed form. The order of a store
(experiments/data/order.py) does not depend on the weights: the window at p is that of place
j = n_k(p).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.data.order import window_order, windows_of
from experiments.data.store import TokenStore
from scaling.common.errors import UserError

BLOCK = 10_000  # positions; weights of up to four decimals are drawn exactly


@dataclass(frozen=True)
class MixedTokens:
    """Training tokens of several stores, drawn by weights that add up to 1."""

    stores: tuple[TokenStore, ...]
    weights: tuple[float, ...] = (1.0,)

    @property
    def read_threads(self) -> int:
        return max(store.read_threads for store in self.stores)

    def windows(self, seed: int, positions: NDArray[np.int64], seq_len: int) -> NDArray[np.int32]:
        """[n] positions -> [n, T + 1] tokens."""
        sources, places = self.locate(seed, positions)
        found = np.empty((len(positions), seq_len + 1), np.int32)
        for k, store in enumerate(self.stores):
            own = sources == k
            if own.any():
                order = window_order(
                    _store_seed(seed, k), places[own], windows_of(store, seq_len, "train")
                )
                found[own] = store.windows(order * seq_len, seq_len + 1)
        return found

    def targets(self, seed: int, tokens: int, seq_len: int) -> tuple[int, ...]:
        """Exact share of each store in the first ``tokens`` targets, in whole windows."""
        positions = np.array([-(-tokens // seq_len)])
        return tuple(
            int(self._before(seed, positions, k)[0]) * seq_len for k in range(len(self.stores))
        )

    def targets_per_epoch(self, seq_len: int) -> tuple[int, ...]:
        """Targets in each store. Raises a UserError for a store below one window."""
        return tuple(windows_of(store, seq_len, "train") * seq_len for store in self.stores)

    def locate(
        self, seed: int, positions: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """[n] positions -> [n] stores, and [n] places: windows of that store before."""
        sources = self._block.sources[(positions + _offset(seed)) % BLOCK]
        places = np.empty_like(positions)
        for k in range(len(self.stores)):
            own = sources == k
            places[own] = self._before(seed, positions[own], k)
        return sources, places

    def _before(self, seed: int, positions: NDArray[np.int64], k: int) -> NDArray[np.int64]:
        """n_k: positions of store k before each position."""
        offset = _offset(seed)
        return self._block.count(offset + positions, k) - self._block.count(np.array([offset]), k)

    @cached_property
    def _block(self) -> _Block:
        return _block(quotas(self.weights))


def quotas(weights: Sequence[float]) -> tuple[int, ...]:
    """c: positions of each store in a block, whole numbers by the largest remainders.

    Raises:
        UserError: a weight gives no position.
    """
    exact = [weight * BLOCK for weight in weights]
    counts = [math.floor(share) for share in exact]
    last = sorted(range(len(exact)), key=lambda k: (counts[k] - exact[k], k))
    for k in last[: BLOCK - sum(counts)]:
        counts[k] += 1
    if not all(counts):
        weight = weights[counts.index(0)]
        raise UserError(f"data.weights={weight:g}: below 1/{BLOCK:,}; raise it, or drop its corpus")
    return tuple(counts)


@dataclass(frozen=True)
class _Block:
    sources: NDArray[np.int64]  # [BLOCK]: the store of each position
    counts: NDArray[np.int64]  # [BLOCK + 1, K]: positions of each store before

    def count(self, positions: NDArray[np.int64], k: int) -> NDArray[np.int64]:
        """Positions of store k among the first ones of endless blocks."""
        blocks, rest = np.divmod(positions, BLOCK)
        return blocks * self.counts[-1, k] + self.counts[rest, k]


@cache
def _block(counts: tuple[int, ...]) -> _Block:
    """The block: each position goes to the due store of earliest deadline."""
    stores = len(counts)
    shares = np.array(counts) / BLOCK
    slack = 1 / (2 * stores - 2) if stores > 1 else 0.0
    given = np.zeros((BLOCK + 1, stores), np.int64)
    sources = np.zeros(BLOCK, np.int64)
    for p in range(BLOCK):
        debt = shares * (p + 1) - given[p]
        deadline = np.where(debt >= slack - 1e-9, (1 - slack - debt) / shares, np.inf)
        sources[p] = np.argmin(deadline)
        given[p + 1] = given[p]
        given[p + 1, sources[p]] += 1
    return _Block(sources, given)


@cache
def _offset(seed: int) -> int:
    """The first position of a seed in the block."""
    return int.from_bytes(hashlib.sha256(f"{seed}/mixture".encode()).digest()[:8], "big") % BLOCK


def _store_seed(seed: int, k: int) -> int | str:
    """Seed of the order of store k; the first store, or the only one, has the seed itself."""
    return f"{seed}/store {k}" if k else seed
