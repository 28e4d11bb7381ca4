"""Text to batches: corpus -> tokenizer -> token store -> an order that (seed, step) decides.

``prepare(config, cache)`` gives a Corpus; ``chunks(corpus.train, ...)`` its batches.
"""

from experiments.config.data import DataConfig, check_config
from experiments.data.cache import prepare
from experiments.data.corpus import Corpus, Manifest
from experiments.data.loader import (
    check_budget,
    chunks,
    epochs_seen,
    validation_windows,
    window_count,
    window_order,
)
from experiments.data.store import DiskTokens, MemoryTokens, TokenStore

__all__ = [
    "Corpus",
    "DataConfig",
    "DiskTokens",
    "Manifest",
    "MemoryTokens",
    "TokenStore",
    "check_budget",
    "check_config",
    "chunks",
    "epochs_seen",
    "prepare",
    "validation_windows",
    "window_count",
    "window_order",
]
