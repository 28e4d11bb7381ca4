"""Batches of a step: a function of (seed, step) alone.

Step s takes the windows at positions s B ... s B + B - 1 of the mixture's endless sequence
(experiments/data/mixture.py). No state lies between steps: any host can make any step directly, and
a run resumes exactly from its step number. Neither the machine nor the size of a chunk enters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.data.mixture import MixedTokens
from experiments.data.order import windows_of
from experiments.data.store import TokenStore
from scaling.common.errors import UserError


def check_budget(
    mixture: MixedTokens, *, seed: int, tokens: int, seq_len: int, repeats: Sequence[int]
) -> None:
    """Check that each source has its share of the targets, each drawn ``repeats`` times at most.

    Raises:
        UserError: it has not, or a stage begins after the end.
    """
    if mixture.stages and mixture.stages[-1] >= tokens:
        raise UserError(
            f"data.stages={','.join(map(str, mixture.stages))}: the last begins after the end of a "
            f"run of {tokens:,} tokens; lower it, or raise budget.tokens"
        )
    shares = mixture.targets(seed, tokens, seq_len)
    for k, (unique, needed, most) in enumerate(
        zip(mixture.targets_per_epoch(seq_len), shares, repeats, strict=True), start=1
    ):
        if needed > most * unique:
            wanted = math.ceil(needed / unique)
            which, field = "the corpus", "data.epochs"
            if len(shares) > 1:
                which = f"corpus {k} of data.corpora"
                field = "data.epochs" if len(set(repeats)) == 1 else f"data.repeats of corpus {k},"
            raise UserError(
                f"{field}={most}: {which} has {unique:,} training tokens, the run needs "
                f"{needed:,}; declare {field}={wanted} or lower budget.tokens"
            )


def chunks(
    mixture: MixedTokens,
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
    the caller ignores the surplus. ``check_budget`` limits the epochs.
    """
    import grain

    mixture.targets_per_epoch(seq_len)  # refuses a store below one window, before any thread reads

    def gather(first: int) -> NDArray[np.int32]:
        steps = np.minimum(np.arange(first, first + steps_per_chunk), stop_step - 1)
        positions = steps[:, None] * sequences + np.arange(sequences)
        tokens = mixture.windows(seed, positions.ravel(), seq_len)
        return tokens.reshape(steps_per_chunk, sequences, seq_len + 1)

    if start_step >= stop_step:
        return iter(())
    firsts = grain.MapDataset.range(start_step, stop_step, steps_per_chunk)
    # One item per chunk: items per window would cost more than the copy itself.
    ahead = grain.ReadOptions(
        num_threads=mixture.read_threads, prefetch_buffer_size=2 * mixture.read_threads
    )
    return iter(firsts.map(gather).to_iter_dataset(ahead))


def validation_share(stores: Sequence[TokenStore], count: int, seq_len: int) -> int:
    """Validation windows of each store: an equal share of ``count``; of one store, up to all.

    Raises:
        UserError: one of several stores has fewer than its share.
    """
    windows = [windows_of(store, seq_len, "valid") for store in stores]
    share = max(1, count // len(stores))
    if len(stores) > 1 and min(windows) < share:
        raise UserError(
            f"evaluation.windows={count}: {len(stores)} corpora give {share} each, corpus "
            f"{windows.index(min(windows)) + 1} of data.corpora has {min(windows)}; set "
            f"evaluation.windows={min(windows) * len(stores)}, or raise data.valid_fraction"
        )
    return min(share, *windows)


def validation_windows(stores: Sequence[TokenStore], count: int, seq_len: int) -> NDArray[np.int32]:
    """[n, T + 1]: up to ``count`` windows, equally many of each store, evenly spread in it.

    They do not depend on the weights, so all mixtures of the corpora are compared on the same text.
    """
    share = validation_share(stores, count, seq_len)
    order = np.arange(share, dtype=np.int64)
    starts = [order * windows_of(store, seq_len, "valid") // share * seq_len for store in stores]
    return np.concatenate(
        [store.windows(start, seq_len + 1) for store, start in zip(stores, starts, strict=True)]
    )
