"""Text to batches: corpora -> tokenizer -> token stores -> an order by (seed, step).

A corpus is prepared once for all runs; a run draws from corpora by a mixture.
``Corpora(cache).mixture(config)`` gives a Mixture; ``chunks(mixture.train, ...)`` its batches.
"""

from experiments.config.data import CorpusConfig, DataConfig
from experiments.data.cache import prepare
from experiments.data.corpora import Corpora, Mixture
from experiments.data.corpus import Corpus, Manifest
from experiments.data.loader import check_budget, chunks, validation_share, validation_windows
from experiments.data.mixture import MixedTokens
from experiments.data.store import DiskTokens, MemoryTokens, TokenStore

__all__ = [
    "Corpora",
    "Corpus",
    "CorpusConfig",
    "DataConfig",
    "DiskTokens",
    "Manifest",
    "MemoryTokens",
    "MixedTokens",
    "Mixture",
    "TokenStore",
    "check_budget",
    "chunks",
    "prepare",
    "validation_share",
    "validation_windows",
]
