"""A mixture of token stores: the store, and its window, at every position p of a run.

Store k has weight w_k and quota c_k, the share of BLOCK positions nearest to w_k BLOCK. A block is
a low-discrepancy sequence (Tijdeman 1980): of its first p positions store k has n_k(p), and

    |n_k(p) - p c_k / BLOCK| < 1    for every p and k

Equal blocks follow each other without end; each seed has an offset in the first. So the store at p,
and its count before p, are a function of (seed, p) in closed form. A stage is such a sequence up to
the position where the next begins, so its counts are sums over the stages. The order of a store
(experiments/data/order.py) does not depend on the weights: the window at p is that of place
j = n_k(p).

A cap of U tokens leaves U // T windows of a store, by a permutation that no seed changes: larger
caps hold the smaller ones. Sources of one store have disjoint windows, one after the other in that
permutation; the last of them may go without a cap and has the rest.
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
SUBSET = "subset"  # in place of a seed, the order in which caps take windows


@dataclass(frozen=True)
class MixedTokens:
    """Training tokens of several sources, drawn by weights that add up to 1 in each stage.

    `weights` are those of each stage in turn, `stages` the tokens at which all but the first begin.
    `unique_tokens` limits each source, 0 does not.
    """

    stores: tuple[TokenStore, ...]
    weights: tuple[float, ...] = (1.0,)
    stages: tuple[int, ...] = ()
    unique_tokens: tuple[int, ...] = ()

    @property
    def read_threads(self) -> int:
        return max(store.read_threads for store in self.stores)

    def windows(self, seed: int, positions: NDArray[np.int64], seq_len: int) -> NDArray[np.int32]:
        """[n] positions -> [n, T + 1] tokens."""
        sources, places = self.locate(seed, positions, seq_len)
        found = np.empty((len(positions), seq_len + 1), np.int32)
        for k, store in enumerate(self.stores):
            own = sources == k
            if own.any():
                first, count = self._range(k, seq_len)
                order = window_order(_store_seed(seed, k), places[own], count)
                windows = windows_of(store, seq_len, "train")
                if count < windows:
                    order = window_order(SUBSET, first + order, windows)
                found[own] = store.windows(order * seq_len, seq_len + 1)
        return found

    def targets(self, seed: int, tokens: int, seq_len: int) -> tuple[int, ...]:
        """Exact share of each source in the first ``tokens`` targets, in whole windows."""
        positions = np.array([-(-tokens // seq_len)])
        return tuple(
            int(self._before(seed, positions, k, seq_len)[0]) * seq_len
            for k in range(len(self.stores))
        )

    def targets_per_epoch(self, seq_len: int) -> tuple[int, ...]:
        """Targets that each source has.

        Raises:
            UserError: a store below one window, or a cap that it cannot fill.
        """
        return tuple(self._range(k, seq_len)[1] * seq_len for k in range(len(self.stores)))

    def repeats(self, seed: int, tokens: int, seq_len: int) -> tuple[int, ...]:
        """Most times that the first ``tokens`` targets hold a target of each source."""
        seen = self.targets(seed, tokens, seq_len)
        return tuple(
            -(-n // unique) for n, unique in zip(seen, self.targets_per_epoch(seq_len), strict=True)
        )

    def locate(
        self, seed: int, positions: NDArray[np.int64], seq_len: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """[n] positions -> [n] sources, and [n] places: windows of that source before."""
        begins = np.array(self._begins(seq_len))
        stages = np.searchsorted(begins, positions, side="right") - 1
        sources, places = np.empty_like(positions), np.empty_like(positions)
        for s, block in enumerate(self._blocks):
            now = stages == s
            sources[now] = block.sources[(positions[now] - begins[s] + _offset(seed)) % BLOCK]
        for k in range(len(self.stores)):
            own = sources == k
            places[own] = self._before(seed, positions[own], k, seq_len)
        return sources, places

    def _before(
        self, seed: int, positions: NDArray[np.int64], k: int, seq_len: int
    ) -> NDArray[np.int64]:
        """n_k: positions of source k before each position."""
        begins = (*self._begins(seq_len), np.iinfo(np.int64).max)
        offset, found = _offset(seed), np.zeros_like(positions)
        for block, begin, end in zip(self._blocks, begins, begins[1:], strict=False):
            inside = np.clip(positions, begin, end) - begin
            found += block.count(offset + inside, k) - block.count(np.array([offset]), k)
        return found

    def _begins(self, seq_len: int) -> tuple[int, ...]:
        """The position at which each stage begins."""
        return (0, *(-(-tokens // seq_len) for tokens in self.stages))

    def _range(self, k: int, seq_len: int) -> tuple[int, int]:
        """The first window of source k in the permutation of its store, and the windows it has."""
        caps = self.unique_tokens or (0,) * len(self.stores)
        store = self.stores[k]
        windows = windows_of(store, seq_len, "train")
        own = [cap // seq_len for cap, other in zip(caps, self.stores, strict=True)
               if other is store]  # fmt: skip
        at = sum(other is store for other in self.stores[:k])
        first = sum(own[:at])
        if (at < len(own) - 1 or caps[k]) and not own[at]:
            raise UserError(
                f"data.unique_tokens={caps[k]} for source {k + 1}: below one window of "
                f"batch.seq_len={seq_len}; of sources of one text, only the last goes without a cap"
            )
        count = own[at] or windows - first
        if count < 1 or first + count > windows:
            before = f" after the {first * seq_len:,} of sources before it" if first else ""
            raise UserError(
                f"data.unique_tokens={','.join(map(str, caps))}: source {k + 1} has "
                f"{max(0, windows - first) * seq_len:,} training tokens{before}; lower its cap, "
                "or give more text"
            )
        return first, count

    @cached_property
    def _blocks(self) -> tuple[_Block, ...]:
        """The block of each stage."""
        K = len(self.stores)
        return tuple(
            _block(quotas(self.weights[i : i + K])) for i in range(0, len(self.weights), K)
        )


def quotas(weights: Sequence[float]) -> tuple[int, ...]:
    """c: positions of each store in a block, whole numbers by the largest remainders.

    Raises:
        UserError: a positive weight gives no position.
    """
    exact = [weight * BLOCK for weight in weights]
    counts = [math.floor(share) for share in exact]
    drawn = [k for k in range(len(exact)) if exact[k]]
    last = sorted(drawn, key=lambda k: (counts[k] - exact[k], k))
    for k in last[: BLOCK - sum(counts)]:
        counts[k] += 1
    for weight in (w for w, count in zip(weights, counts, strict=True) if w and not count):
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
    drawn = np.flatnonzero(counts)
    stores = len(drawn)
    shares = np.array(counts)[drawn] / BLOCK
    slack = 1 / (2 * stores - 2) if stores > 1 else 0.0
    given = np.zeros((BLOCK + 1, stores), np.int64)
    sources = np.zeros(BLOCK, np.int64)
    for p in range(BLOCK):
        debt = shares * (p + 1) - given[p]
        deadline = np.where(debt >= slack - 1e-9, (1 - slack - debt) / shares, np.inf)
        sources[p] = np.argmin(deadline)
        given[p + 1] = given[p]
        given[p + 1, sources[p]] += 1
    every = np.zeros((BLOCK + 1, len(counts)), np.int64)
    every[:, drawn] = given
    return _Block(drawn[sources], every)


@cache
def _offset(seed: int) -> int:
    """The first position of a seed in the block."""
    return int.from_bytes(hashlib.sha256(f"{seed}/mixture".encode()).digest()[:8], "big") % BLOCK


def _store_seed(seed: int, k: int) -> int | str:
    """Seed of the order of store k; the first store, or the only one, has the seed itself."""
    return f"{seed}/store {k}" if k else seed
