"""Corpora of a cache folder, each opened once, and their mixtures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from experiments.config.data import JOINED, CorpusConfig, DataConfig, Split, corpus_configs
from experiments.config.run import Science
from experiments.data.build import Progress
from experiments.data.cache import prepare, silent
from experiments.data.corpus import Corpus
from experiments.data.mixture import MixedTokens
from experiments.data.store import TokenStore
from experiments.data.tokenizer import Tokenizer
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Mixture:
    """The data of one run: corpora of one vocabulary, and their weights."""

    corpora: tuple[Corpus, ...]
    weights: tuple[float, ...] = (1.0,)

    @property
    def fingerprint(self) -> str:
        """Identity of the corpora in their order; the weights are not in it."""
        return JOINED.join(self._fingerprints)

    @property
    def vocab_size(self) -> int:
        return self.corpora[0].vocab_size

    @property
    def tokenizer(self) -> Tokenizer:
        return self.corpora[0].tokenizer

    @property
    def train(self) -> MixedTokens:
        return MixedTokens(tuple(corpus.train for corpus in self.corpora), self.weights)

    @property
    def valid(self) -> tuple[TokenStore, ...]:
        return tuple(corpus.valid for corpus in self.corpora)

    def bytes_per_token(self, split: Split) -> float:
        """Mean over the corpora, for nats/byte = nats/token / bytes_per_token.

        Validation has equally many windows of each corpus, so the plain mean is exact.
        """
        return sum(corpus.bytes_per_token(split) for corpus in self.corpora) / len(self.corpora)

    def tokens_by_source(self, science: Science) -> dict[str, int]:
        """Training targets of a run from each corpus, by its fingerprint."""
        seen = self.train.targets(science.seed, science.tokens, science.batch.seq_len)
        return dict(zip(self._fingerprints, seen, strict=True))

    def epochs_by_source(self, science: Science) -> dict[str, float]:
        """Mean times that a run sees a target of each corpus, by its fingerprint."""
        unique = self.train.targets_per_epoch(science.batch.seq_len)
        seen = self.tokens_by_source(science)
        return {name: seen[name] / n for name, n in zip(self._fingerprints, unique, strict=True)}

    def epochs(self, science: Science) -> float:
        """Mean times that a run sees a target of its corpora."""
        return science.tokens / sum(self.train.targets_per_epoch(science.batch.seq_len))

    @property
    def _fingerprints(self) -> tuple[str, ...]:
        return tuple(corpus.fingerprint for corpus in self.corpora)


class Corpora:
    """Prepares corpora under a cache folder at their first use, and keeps them open.

    A given tokenizer takes the place of their own.
    """

    def __init__(
        self, cache: Path, progress: Progress = silent, tokenizer: Tokenizer | None = None
    ) -> None:
        self._cache, self._progress, self._tokenizer = cache, progress, tokenizer
        self._open: dict[CorpusConfig, Corpus] = {}

    def mixture(self, data: DataConfig) -> Mixture:
        """The data of a run.

        Raises:
            UserError: as `experiments.data.cache.prepare`, or two corpora are the same text.
        """
        mixture = Mixture(tuple(map(self._corpus, corpus_configs(data))), data.weights or (1.0,))
        if len({corpus.fingerprint for corpus in mixture.corpora}) < len(mixture.corpora):
            raise UserError(f"data.corpora={','.join(data.corpora)}: two are the same text")
        return mixture

    def opened(self) -> tuple[Corpus, ...]:
        """The corpora that are open, in the order of opening."""
        return tuple({corpus.fingerprint: corpus for corpus in self._open.values()}.values())

    def describe(self) -> str:
        """One line for each open corpus."""
        return "\n".join(corpus.describe() for corpus in self.opened())

    def _corpus(self, config: CorpusConfig) -> Corpus:
        if config not in self._open:
            found = prepare(config, self._cache, self._progress, tokenizer=self._tokenizer)
            known = replace(config, fingerprint=found.fingerprint)
            self._open[config] = self._open.setdefault(known, found)
        return self._open[config]
